"""Formulas written out plainly, to be read beside the text."""
