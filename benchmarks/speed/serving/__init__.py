"""Experts that answer: router, engine, server."""
