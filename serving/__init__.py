"""Experts that answer: one engine for rows and prompts, the router that chooses, the server."""
