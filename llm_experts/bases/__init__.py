"""Base models: load, identify, share, and what their memory allows."""
