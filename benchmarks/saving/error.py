"""What may be wrong with a saved model."""

from __future__ import annotations


class ModelError(ValueError):
    """A model that cannot be saved, read or asked; the text says what, where and what to do."""
