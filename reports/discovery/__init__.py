"""A discovery as one page: its result files, figures of them, words."""
