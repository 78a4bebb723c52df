"""Labels and groups of new rows, as users write them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.models.error import RowsError
from tasks.card import Card
from tasks.values import matches, number_word, word

SHOWN = 6
ZERO_ONE = {"0", "1"}


class MonitorError(RowsError):
    """New rows that cannot be compared with a promise."""


def labels_of(column: pd.Series, card: Card) -> NDArray[np.int64]:
    """[n] labels in {0, 1}; -1 where the card says that a value is no label.

    A column that has the name of the card's label is read by the card's rule. Any other may hold 0 and 1, or values
    that the rule knows.

    Raises
    ------
    MonitorError
        If a cell is empty, or no cell is class 1 by the rule although the column does not hold 0 and 1.
    """
    label = card.label
    column = column.map(lambda cell: _plain(cell, card) if isinstance(cell, str) else cell)
    unlabelled = column.map(word).isin([word(value) for value in label.unlabelled]).to_numpy()
    if "" in label.unlabelled:
        unlabelled = unlabelled | column.isna().to_numpy()
    known = column[~unlabelled]
    if known.isna().any():
        row = int(np.flatnonzero((column.isna().to_numpy()) & ~unlabelled)[0])
        raise MonitorError(
            f"The label column {column.name!r} is empty in {int(known.isna().sum())} rows, the first of them row "
            f"{row + 1}; leave rows without a label out."
        )
    words = {number_word(value) for value in known.unique()}
    positive = matches(known, label.positive)
    if str(column.name) != label.column and words <= ZERO_ONE:
        positive = (known.map(number_word) == "1").to_numpy()
    elif str(column.name) != label.column and not positive.any():
        seen = ", ".join(map(repr, sorted(words)[:SHOWN]))
        raise MonitorError(
            f"No value of the column {column.name!r} is class 1 ({label.meaning}) by the card of {card.name!r}; it "
            f"holds {seen}. Write labels as the published column {label.column!r} has them, or as 0 and 1."
        )
    labels = np.full(len(column), -1, dtype=np.int64)
    labels[~unlabelled] = positive.astype(np.int64)
    return labels


def _plain(cell: str, card: Card) -> str:
    """A label without blanks and the suffix that the published file has."""
    text = cell.strip() if card.read.strip else cell
    return text.removesuffix(card.read.strip_suffix) if card.read.strip_suffix else text


def groups_of(column: pd.Series, names: Sequence[str]) -> NDArray[np.int64]:
    """[n] position of each cell in the names of the groups.

    Raises
    ------
    MonitorError
        If a cell is empty or names none of them.
    """
    position = {name: place for place, name in enumerate(names)}
    found = column.map(lambda cell: position.get(word(cell).strip(), -1) if pd.notna(cell) else -1).to_numpy(np.int64)
    if (found < 0).any():
        row = int(np.flatnonzero(found < 0)[0])
        raise MonitorError(
            f"The group column {column.name!r} holds {column.iloc[row]!r} in row {row + 1} ({int((found < 0).sum())} "
            f"such rows), which is no group of the model; its groups are {', '.join(map(repr, names))}. Name "
            "them as the model does, or leave --groups out to have them made of the columns that the card names."
        )
    return found
