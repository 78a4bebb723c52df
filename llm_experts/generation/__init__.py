"""Items for experts to learn from: where they come from, and what is checked before one is taken."""
