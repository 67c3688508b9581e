"""Fits against each other."""
