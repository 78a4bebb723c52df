"""Verbs of data: cards, their files, checks and splits."""
