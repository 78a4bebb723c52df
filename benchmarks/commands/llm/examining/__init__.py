"""Verbs that examine experts: on validation and test items, for bias, and whether they can be composed."""
