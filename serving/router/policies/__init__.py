"""Policies of the router, one per file."""
