"""Words of a text and values of a row, as sets of keywords: evidence that a dispatcher can look up, not search for."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from tasks.task import TaskView

_BLANKS = {ord(mark): " " for mark in string.punctuation + "“”‘’«»–—…"}


def words(text: str) -> frozenset[str]:
    """Words of a text without case and punctuation: ``"List users, older than 30."`` has the word ``30``."""
    return frozenset(text.casefold().translate(_BLANKS).split())


def row_values(view: TaskView, rows: Tensor, keep: Tensor | None = None) -> list[frozenset[str]]:
    """``column=value`` of the binary and categorical columns of each row.

    Parameters
    ----------
    rows : [r] int64
    keep : [r, columns] bool, optional
        A column that is not kept gives no keyword, as a missing value does.
    """
    sets: list[set[str]] = [set() for _ in range(len(rows))]
    frame = view.frame.iloc[rows.numpy()]
    for index, column in enumerate(view.columns):
        if column.kind == "numeric":
            continue
        values = frame[column.name]
        for number, (value, missing) in enumerate(zip(values, values.isna(), strict=True)):
            if not missing and (keep is None or bool(keep[number, index])):
                sets[number].add(f"{column.name}={value}")
    return [frozenset(found) for found in sets]
