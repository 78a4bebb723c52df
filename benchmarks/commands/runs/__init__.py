"""Verbs of runs: start one, tune one method, read, compare and track what came of it."""
