"""What may be wrong with a saved model, or with the rows that it is asked about."""

from __future__ import annotations

from benchmarks.saving.error import ModelError

__all__ = [
    "MissingColumnError", "ModelError", "NoEdgesError", "NoRowsError", "RowsError", "UnknownCategoryError",
    "UnknownGroupError", "WrongTypeError",
]  # fmt: skip


class RowsError(ModelError):
    """Raw rows that a model cannot be asked about."""


class NoEdgesError(ModelError):
    """A graph model is asked about rows without the graph between them."""


class NoRowsError(RowsError):
    """A table without rows."""


class MissingColumnError(RowsError):
    """Raw rows lack a column that the model needs."""


class WrongTypeError(RowsError):
    """A column of numbers holds something else."""


class UnknownCategoryError(RowsError):
    """A value that no training row had."""


class UnknownGroupError(RowsError):
    """A row of which the model must know the group, and which is in none of its groups."""
