"""Boosted trees on a table that no memory holds: LightGBM bins its rows a block at a time, one byte per value.

Bins come from the rows that LightGBM samples, by the same draw as from a matrix, so the trees are those that the same
rows in memory give: 200,000 rows at most, of more than 150 features fewer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np

from experts.trees.booster import ROUNDS, TreeModel, boosted, parameters
from foundation.progress import Tell, silent
from tasks.stored.table import StoredTable

BLOCK_ROWS = 1 << 16
"""Rows that are encoded at once."""
SAMPLED_ROWS, SAMPLED_VALUES = 200_000, 30_000_000
"""LightGBM's number of rows that bins are made from, and the most values that they may have."""


class TrainingRows(lightgbm.Sequence):
    """The training rows of a stored table, ascending, as LightGBM reads them.

    Parameters
    ----------
    table : StoredTable
    tell : callable
    """

    batch_size = BLOCK_ROWS

    def __init__(self, table: StoredTable, tell: Tell) -> None:
        self._table, self._rows, self._tell = table, table.rows_of("train"), tell
        self._start, self._block = -1, np.empty((0, 0), dtype=np.float32)

    def __len__(self) -> int:
        """Training rows."""
        return len(self._rows)

    def __getitem__(self, index: int | slice | list[int]) -> np.ndarray:
        """[d] float64 of one row, which LightGBM samples in ascending order, or [r, d] float32 of several."""
        if isinstance(index, slice):
            self._tell("bins of training rows", min(index.stop, len(self)), len(self))
            return self._table.features(self._rows[index]).numpy()
        if isinstance(index, list):
            return self._table.features(self._rows[index]).numpy()
        start = index // BLOCK_ROWS * BLOCK_ROWS
        if start != self._start:
            self._start, self._block = start, self._table.features(self._rows[start : start + BLOCK_ROWS]).numpy()
            self._tell("sample for bins", start + len(self._block), len(self))
        row: np.ndarray = self._block[index - start].astype(np.float64)
        return row


class _Binned(lightgbm.Dataset):
    """A data set whose bins obey all parameters, as those of a matrix do.

    From a sequence LightGBM passes on some of them only: features would be left out by the least number of rows in a
    leaf that is its default.
    """

    def get_params(self) -> dict[str, Any]:
        """All parameters that were given."""
        return dict(self.params or {})


def fit_stored(
    table: StoredTable, settings: Mapping[str, Any], seed: int, *, rounds: int = ROUNDS, tell: Tell = silent
) -> TreeModel:
    """Boosted trees for the binary log loss on all training rows, stopped by that of the sampled validation rows.

    Parameters
    ----------
    table : StoredTable
    settings : mapping
        LightGBM parameters, such as ``num_leaves``.
    seed : int
    rounds : int
        Largest number of trees.
    tell : callable, optional
        Called with what is done, how much of it, out of how much.

    Notes
    -----
    Memory holds one byte per value of the binned rows twice (LightGBM keeps columns, and rows for its histograms), a
    few numbers per row, and the sample that bins are made from.
    """
    sample, features = table.sample, len(table.encoder.feature_names)
    few = {"bin_construct_sample_cnt": SAMPLED_VALUES // features} if features * SAMPLED_ROWS > SAMPLED_VALUES else {}
    given = {**parameters(settings, seed), **few}
    labels = table.labels[table.rows_of("train")]
    train = _Binned(TrainingRows(table, tell), labels, params=given)
    rows = sample.split.validation
    watched = _Binned(sample.features[rows].numpy(), sample.labels[rows].numpy(), reference=train, params=given)

    def counted(state: Any) -> None:
        tell("trees on all training rows", state.iteration + 1, rounds)

    return boosted(train, watched, given, rounds, [counted])
