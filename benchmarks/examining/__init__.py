"""Examinations of language experts as commands hold them: the set, the models, the tables, the files."""
