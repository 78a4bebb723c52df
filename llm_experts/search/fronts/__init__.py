"""Mixtures that none beats: which they are, how large their front is, and the evolution that widens it."""
