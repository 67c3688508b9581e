"""Shares of variance: ICC, R squared, shrinkage, ratios."""
