"""Rows as sentences: one plain sentence per column, in the order of the card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from torch import Tensor

from tasks.card import DataError

if TYPE_CHECKING:
    from tasks.task import TaskView

UNKNOWN = "unknown"


def sentences(view: TaskView, rows: Tensor, keep: Tensor | None = None) -> list[str]:
    """Write rows as text, such as "The applicant's age is 23 years. The applicant's sex is female."

    A missing value and a masked column read the same, *unknown*, as both are 0 among the features. Columns that are not
    features (the sensitive ones under ``use_sensitive = drop``) are not mentioned.

    Parameters
    ----------
    rows : [r] int64
        Positions of the task's rows.
    keep : [r, columns] bool, optional
        A column that is not kept is written as unknown.

    Returns
    -------
    list of str
        One text per row.

    Raises
    ------
    DataError
        If ``keep`` has another shape.
    """
    if keep is not None and tuple(keep.shape) != (len(rows), len(view.columns)):
        raise DataError(f"keep is [rows, columns] = {(len(rows), len(view.columns))}, not {tuple(keep.shape)}.")
    frame = view.frame.iloc[rows.numpy()]
    subject = view.card.text.subject
    written = []
    for index, column in enumerate(view.columns):
        values = _values(view, frame[column.name], column.unit)
        if keep is not None:
            values = [v if k else UNKNOWN for v, k in zip(values, keep[:, index].tolist(), strict=True)]
        start = f"{subject[:1].upper()}{subject[1:]}'s {column.text} is "
        written.append([f"{start}{value}." for value in values])
    return [" ".join(parts) for parts in zip(*written, strict=True)]


def _values(view: TaskView, series: pd.Series, unit: str) -> list[str]:
    """Words of a column's values: the card's words, numbers with their unit, unknown where missing."""
    words = next(c.values for c in view.card.column if c.name == series.name)
    suffix = f" {unit}" if unit else ""
    if series.dtype == "category":
        names = [words.get(name, name + suffix) for name in series.cat.categories] + [UNKNOWN]
        return [names[code] for code in series.cat.codes]
    texts = [f"{value:.10g}" for value in series]
    return [UNKNOWN if text == "nan" else words.get(text, text + suffix) for text in texts]
