"""From a data frame to the arrays of a model."""
