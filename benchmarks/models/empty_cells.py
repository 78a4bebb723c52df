"""Cells that tell a model nothing: empty ones, and categories that no training row had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.bins import binned
from tasks.values import as_numbers, as_words

if TYPE_CHECKING:
    import pandas as pd

    from tasks.encode import ColumnEncoder


def empty_and_unknown(series: pd.Series, column: ColumnEncoder) -> tuple[int, int]:
    """Cells of a raw column without a value, and with a category that no training row had.

    Raises
    ------
    DataError
        If a column of numbers holds text.
    """
    if column.kind == "numeric":
        return int(as_numbers(series, column.spec.missing).isna().sum()), 0
    words = as_words(binned(series, column.spec) if column.spec.bins else series, column.spec.missing)
    known = {*column.categories, *column.rare}
    return int(words.isna().sum()), int((words.notna() & ~words.isin(known)).sum())
