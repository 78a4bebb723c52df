"""Trainers of language experts: one file each, found by the registry."""
