"""What may be wrong with a saved model, or with the rows that it is asked about."""

from __future__ import annotations


class ModelError(ValueError):
    """A model that cannot be saved, read or asked; the text says what, where and what to do."""


class RowsError(ModelError):
    """Raw rows that a model cannot be asked about."""


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
