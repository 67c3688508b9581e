"""Response distributions and links."""
