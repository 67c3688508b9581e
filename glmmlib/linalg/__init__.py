"""Penalised least squares with the sparsity of grouping factors."""
