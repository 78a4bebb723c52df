"""Cards of saved models: what a model is for, on what it was measured, and how well it did."""

from benchmarks.models.cards.writing import write_cards

__all__ = ["write_cards"]
