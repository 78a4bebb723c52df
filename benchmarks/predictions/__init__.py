"""Predictions as files: anyone's, checked before they are scored, and those of two runs row by row."""
