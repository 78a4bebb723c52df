"""Procedural fairness: whether the reasons for predictions, and their quality, are alike for all groups."""

from metrics.procedural.measures import procedural_draws, procedural_points

__all__ = ["procedural_draws", "procedural_points"]
