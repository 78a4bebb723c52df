"""Edges of a graph data set between the rows of a task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tasks.card import DataError


def read_edges(path: Path, separator: str, ids: np.ndarray) -> np.ndarray:
    """Read a list of node pairs as undirected edges.

    Parameters
    ----------
    path : Path
        Text file without header, two node ids a line; numbers may be written as floats.
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
    index = pd.Index(ids.astype(np.int64))
    if not index.is_unique:
        raise DataError(
            "The key column of the edges names two rows alike; choose a column with unique values as key in [edges]."
        )
    try:
        pairs = _pairs(pd.read_csv(path, sep=separator, header=None, usecols=[0, 1]))
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path.name} is not a list of node pairs ({error}); correct separator in [edges].") from error
    ends = index.get_indexer(pd.Index(pairs.ravel())).reshape(-1, 2)
    ends = ends[(ends >= 0).all(axis=1) & (ends[:, 0] != ends[:, 1])]
    unique = np.unique(np.sort(ends, axis=1), axis=0)
    return np.ascontiguousarray(unique.T.astype(np.int64))


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
