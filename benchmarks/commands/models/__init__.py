"""Verbs of models of tables: which to take, what they predict, what that is worth, whether it still holds."""
