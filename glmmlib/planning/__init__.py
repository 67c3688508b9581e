"""How to plan a study."""
