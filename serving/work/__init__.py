"""How requests wait, in which order they run, and what runs them."""
