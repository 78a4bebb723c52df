"""Verbs that train experts, on items and on rows."""
