"""Scores of language answers: a file for each."""
