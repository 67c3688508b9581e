"""Relative covariance factors: theta, Lambda, and what they stand for."""
