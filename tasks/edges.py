"""Edges of a graph data set between the rows of a task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.card import DataError


@dataclass(frozen=True)
class EdgeCounts:
    """What a list of edges holds, counted.

    Attributes
    ----------
    pairs : int
        Lines of the file.
    used : int
        Undirected edges between rows of the task, each once.
    unknown : int
        Pairs with an id that names no row of the task.
    first_unknown : int or None
        One such id.
    loops : int
        Pairs of a row with itself.
    both_ways : int
        Edges that the file names in both directions.
    repeated : int
        Further lines of an edge in a direction that it had already.
    isolated : int
        Rows without an edge.
    """

    pairs: int
    used: int
    unknown: int
    first_unknown: int | None
    loops: int
    both_ways: int
    repeated: int
    isolated: int


def read_edges(path: Path, separator: str, ids: np.ndarray) -> np.ndarray:
    """Read a list of node pairs as undirected edges.

    Parameters
    ----------
    path : Path
        Text file, with a line of names or without, two node ids a line; numbers may be written as floats.
    ids : [n] array
        Id of each row; pairs with another id (a row that left the task) are dropped.

    Returns
    -------
    [2, m] int64
        Positions of both ends, first < second, sorted, each pair once, no self-loops.

    Raises
    ------
    DataError
        If the file is not a list of pairs or an id names two rows.
    """
    ends = _ends(path, separator, ids)[1]
    ends = ends[(ends >= 0).all(axis=1) & (ends[:, 0] != ends[:, 1])]
    unique = np.unique(np.sort(ends, axis=1), axis=0)
    return np.ascontiguousarray(unique.T.astype(np.int64))


def count_edges(path: Path, separator: str, ids: np.ndarray) -> EdgeCounts:
    """Count what :func:`read_edges` uses and leaves out; parameters and errors are its own."""
    pairs, ends = _ends(path, separator, ids)
    known = (ends >= 0).all(axis=1)
    loops = known & (ends[:, 0] == ends[:, 1])
    directed = ends[known & ~loops]
    once = np.unique(directed, axis=0)
    undirected = np.unique(np.sort(once, axis=1), axis=0)
    strange = pairs[ends < 0]
    return EdgeCounts(
        pairs=len(pairs),
        used=len(undirected),
        unknown=int((~known).sum()),
        first_unknown=int(strange[0]) if len(strange) else None,
        loops=int(loops.sum()),
        both_ways=len(once) - len(undirected),
        repeated=len(directed) - len(once),
        isolated=len(ids) - len(np.unique(undirected)),
    )


def read_pairs(path: Path, separator: str) -> np.ndarray:
    """[m, 2] int64: the ids of each line; a first line of names is passed over.

    Raises
    ------
    DataError
        If the file is not a list of pairs of whole numbers.
    """
    try:
        return _pairs(_lines(path, separator))
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(
            f"{path.name} is not a list of node pairs ({' '.join(str(error).split())}); correct separator in [edges], "
            "and write two whole numbers a line."
        ) from error


def _ends(path: Path, separator: str, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids and positions (-1: no row) of both ends, [m, 2] each."""
    try:
        index = pd.Index(ids.astype(np.int64))
    except (ValueError, TypeError) as error:
        raise DataError(
            f"The key column of the edges holds {ids[0]!r}, and ids are whole numbers; number the rows in a column of "
            "the table and in the edges, and name it as key in [edges]."
        ) from error
    if not index.is_unique:
        raise DataError(
            "The key column of the edges names two rows alike; choose a column with unique values as key in [edges]."
        )
    pairs = read_pairs(path, separator)
    return pairs, index.get_indexer(pd.Index(pairs.ravel())).reshape(-1, 2)


def _lines(path: Path, separator: str) -> pd.DataFrame:
    options: dict[str, Any] = {"sep": separator, "header": None, "usecols": [0, 1]}
    first = pd.read_csv(path, nrows=1, dtype=str, keep_default_na=False, **options)
    named = not any(_is_number(cell) for cell in first.iloc[0])
    table: pd.DataFrame = pd.read_csv(path, skiprows=int(named), **options)
    return table


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _pairs(table: pd.DataFrame) -> np.ndarray:
    """[m, 2] int64; whole numbers keep all their digits (user ids have more than a float holds)."""
    columns = []
    for name in table.columns:
        values = table[name].to_numpy()
        if values.dtype != np.int64:
            values = values.astype(np.float64)
            if not (np.abs(values) < 2**53).all() or (values != np.rint(values)).any():
                raise ValueError(f"column {name} holds values that are no whole numbers")
        columns.append(values.astype(np.int64))
    return np.stack(columns, axis=1)
