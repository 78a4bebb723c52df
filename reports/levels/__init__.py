"""Utility at fairness levels: who reaches what, who wins, what transfers to test rows."""
