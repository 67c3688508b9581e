"""Objectives of one model, and their minimisers."""
