"""What a list of edges beside a table seems to be: its separator, and by which column it names the rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.card import DataError
from tasks.edges import read_pairs


@dataclass(frozen=True)
class EdgeGuess:
    """Separator and key of an edge list; an empty key means row numbers."""

    separator: str
    key: str
    reason: str


def guess_edges(path: Path, table: pd.DataFrame) -> EdgeGuess:
    """Look at a list of edges.

    Raises
    ------
    DataError
        If there is no such file, it is no list of pairs, or no column of the table holds its ids.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}; give the path of the edges, two ids a line.")
    separator, pairs = _pairs(path)
    ends = np.unique(pairs)
    shares = {str(name): _share(table[name], ends) for name in table.columns}
    best = max(shares, key=lambda name: shares[name])
    if shares[best] > 0.5:
        return EdgeGuess(
            separator, best, f"column {best!r} holds {shares[best]:.0%} of the {len(ends)} ids of the edges"
        )
    if ends.min() >= 0 and ends.max() < len(table):
        return EdgeGuess(separator, "", f"all {len(ends)} ids are row numbers, counted from 0")
    raise DataError(
        f"The ids in {path} (from {ends.min()} to {ends.max()}) are in no column of the table whose values are "
        f"different whole numbers, and are no numbers of its {len(table)} rows, counted from 0. Add the column of ids."
    )


def _pairs(path: Path) -> tuple[str, np.ndarray]:
    reasons = []
    for separator in (",", ";", "\t", " "):
        try:
            return separator, read_pairs(path, separator)
        except DataError as error:
            reasons.append(str(error))
    raise DataError(
        f"{path} is no list of edges with any of , ; tab blank: two ids, whole numbers, a line. {reasons[0]}"
    )


def _share(column: pd.Series, ends: np.ndarray) -> float:
    """Share of the ids that a column of different whole numbers holds."""
    if column.isna().any() or not column.is_unique or not pd.api.types.is_integer_dtype(column):
        return 0.0
    return float(np.isin(ends, column.to_numpy(dtype=np.int64)).mean())
