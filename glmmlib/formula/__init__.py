"""Formula strings: from text to fixed and random terms."""
