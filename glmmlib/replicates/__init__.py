"""Many responses, one design."""
