"""Lanes on a table that no memory holds: its training rows as batches, everything else from the sample of it.

The in-memory stream shuffles all rows anew in every pass. Here a pass goes through blocks of neighbouring rows in
random order: some dozens of blocks are read, and their rows are dealt into batches that hold every cell of label x
group in the buffer's proportion (the same :func:`experts.networks.batches.stratified_order`). Every row comes once per
pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experts.expert import Role
from experts.networks.batches import Batch, BatchStream, stratified_order
from experts.networks.inputs import LaneInputs
from experts.networks.lanes import LaneParameters, with_ones
from experts.networks.mlp import MLPExpert
from experts.saved import ExpertError
from foundation.seeding import torch_generator
from tasks.stored.table import StoredTable
from tasks.task import TaskView

BLOCK_ROWS = 4096
"""Neighbouring training rows that are read together."""
BUFFER_BYTES = 64 << 20
"""Of features that are held at once."""
LEAST_BLOCKS = 16
"""Of a buffer: a batch mixes rows of so many places of the file at least."""


class StoredRows:
    """The training rows of a stored table as an endless stream of batches that depends on the seed alone.

    Parameters
    ----------
    table : StoredTable
    batch_rows : int
    seed : int
    sample_rows : int
        Rows of each batch's sample for costly losses.
    buffer_bytes, block_rows : int
        How much is held, and how many neighbours are read together; both decide the order of rows.
    """

    def __init__(
        self,
        table: StoredTable,
        batch_rows: int,
        seed: int,
        sample_rows: int = 512,
        *,
        buffer_bytes: int = BUFFER_BYTES,
        block_rows: int = BLOCK_ROWS,
    ) -> None:
        self._table, self._sample_rows = table, sample_rows
        self._rows = table.rows_of("train")
        self.full, self.batch_rows = False, min(batch_rows, len(self._rows))
        fitting = buffer_bytes // (4 * (len(table.encoder.feature_names) + 1) * block_rows)
        self._block_rows, self._blocks_held = block_rows, max(LEAST_BLOCKS, fitting)
        self._generator = torch_generator(seed, "batches")
        self._stream = self._batches()

    def next(self) -> Batch:
        """The next batch."""
        return next(self._stream)

    def select(self, lanes: Tensor) -> None:
        """Lanes have no weights of their own here."""

    def _batches(self) -> Iterator[Batch]:
        rest = np.empty(0, dtype=np.int64)
        for rows in self._buffers():
            places = np.concatenate((rest, rows))
            whole = len(places) // self.batch_rows * self.batch_rows
            rest = places[whole:]
            if whole:
                yield from self._cut(places[:whole])

    def _buffers(self) -> Iterator[np.ndarray]:
        """Training rows of some blocks, in stratified order; pass after pass."""
        count = -(-len(self._rows) // self._block_rows)
        while True:
            for held in torch.split(torch.randperm(count, generator=self._generator), self._blocks_held):
                starts = (held.sort().values * self._block_rows).tolist()
                rows = np.concatenate([self._rows[start : start + self._block_rows] for start in starts])
                yield rows[stratified_order(self._strata(rows), self._generator).numpy()]

    def _strata(self, rows: np.ndarray) -> Tensor:
        """[r] int64 cell (label, group)."""
        return self._table.labels_of(rows) * len(self._table.group_names) + self._table.groups_of(rows)

    def _cut(self, rows: np.ndarray) -> Iterator[Batch]:
        features = with_ones(self._table.features(rows))
        labels, groups = self._table.labels_of(rows), self._table.groups_of(rows)
        for start in range(0, len(rows), self.batch_rows):
            own = slice(start, start + self.batch_rows)
            yield Batch(
                features[own], labels[own], groups[own], len(self._table.group_names), sample_rows=self._sample_rows
            )


@dataclass(frozen=True, eq=False)
class StoredInputs(LaneInputs):
    """The sample of a stored table, whose training rows come from the table.

    Attributes
    ----------
    table : StoredTable
    """

    table: StoredTable

    def training_rows(self, batch_rows: int, weights: Tensor | None, seed: int, sample_rows: int) -> BatchStream:
        """Batches of the table's training rows.

        Raises
        ------
        ExpertError
            If rows have weights: folds and bags need every row in memory.
        """
        if weights is not None:
            raise ExpertError(
                f"Rows of {self.view.name} are read from files, so they cannot be weighted (folds, bags); use a "
                "table that fits into memory."
            )
        return StoredRows(self.table, batch_rows, seed, sample_rows)


@dataclass(frozen=True)
class StoredNetwork:
    """Tabular networks that are trained on a stored table; the view of all else is its sample.

    Attributes
    ----------
    table : StoredTable
    """

    table: StoredTable

    @property
    def name(self) -> str:
        """Of files: these are networks like any other, on this task."""
        return ""

    def settings(self) -> dict[str, Any]:
        """What decides the order of rows beside the seed."""
        return {"stored": self.table.hash, "block_rows": BLOCK_ROWS, "buffer_bytes": BUFFER_BYTES}

    def inputs(self, view: TaskView) -> LaneInputs:
        """The sample, with the table behind it."""
        return StoredInputs(view, self.table)

    def expert(self, view: TaskView, role: Role, parameters: LaneParameters, lane: int = 0) -> MLPExpert:
        """An MLP expert."""
        return MLPExpert.of_lane(view, role, parameters, lane)
