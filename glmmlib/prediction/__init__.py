"""New rows and new draws from a fitted model."""
