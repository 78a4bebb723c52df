"""Verbs of bases: what one is, what can be adapted on it, ternary weights as ordinary ones."""
