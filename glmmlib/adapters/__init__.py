"""Fits as other packages want them; each file needs the package that it is named after."""
