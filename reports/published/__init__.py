"""A run beside published numbers."""
