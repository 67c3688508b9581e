"""What people read: reports and tidy tables."""
