"""Finished cells on disk: what a method on a job leaves behind, and how it is read again."""
