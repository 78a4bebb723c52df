"""Experts as artefacts: one file that a stranger can check, trust and run."""
