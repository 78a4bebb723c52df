"""What one pass over rows counts of K predictions: whole numbers that can be added up in any order."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics.calibration import BINS
from metrics.counts.tables import cell_totals
from metrics.tallies.kernel import FINE, UNIT, count_rows

MOST_ROWS = 1 << 30
"""Most rows of a tally: its sums are 64 bits wide."""


@dataclass(frozen=True)
class Tally:
    """Counts of K predictions of the same rows; each array is filled in place by :meth:`add`.

    Attributes
    ----------
    sizes : [g, 2] int64
        Rows per (group, label).
    fine : [K, 2g, FINE] int64
        Rows by cell (2 · group + label) and probability, in equal-width bins (lower, upper].
    sums : [K, g, BINS] int64
        Probabilities by group and bin of the calibration error, in units of 2⁻³⁰.
    squares : [K] int64
        Squared errors, in units of 2⁻³⁰.
    ends : [K, 2] float32
        Smallest and largest probability.
    broken : [K] int64
        Rows whose probability is nan; they are in no other count but ``sizes``.
    """

    sizes: NDArray[np.int64]
    fine: NDArray[np.int64]
    sums: NDArray[np.int64]
    squares: NDArray[np.int64]
    ends: NDArray[np.float32]
    broken: NDArray[np.int64]

    @classmethod
    def empty(cls, models: int, n_groups: int) -> Tally:
        """Of no rows."""
        ends = np.tile(np.array([np.inf, -np.inf], dtype=np.float32), (models, 1))
        return cls(
            sizes=np.zeros((n_groups, 2), dtype=np.int64),
            fine=np.zeros((models, 2 * n_groups, FINE), dtype=np.int64),
            sums=np.zeros((models, n_groups, BINS), dtype=np.int64),
            squares=np.zeros(models, dtype=np.int64),
            ends=ends,
            broken=np.zeros(models, dtype=np.int64),
        )

    @property
    def rows(self) -> int:
        """Rows so far."""
        return int(self.sizes.sum())

    def add(self, probability: Tensor, labels: Tensor, groups: Tensor) -> None:
        """Count further rows.

        Parameters
        ----------
        probability : [K, r] float32
            Probabilities of class 1 in [0, 1], or nan.
        labels, groups : [r] int64
            Labels in {0, 1}; group ids in 0..g-1.

        Raises
        ------
        ValueError
            If shapes or types disagree, a label is hidden, a probability lies outside [0, 1], or there are more than
            ``MOST_ROWS`` rows.
        """
        self._check(probability, labels, groups)
        if not len(labels):
            return
        self.sizes[:] += cell_totals(labels, groups, len(self.sizes)).numpy().astype(np.int64)
        cells = (groups * 2 + labels).to(torch.int32).numpy()
        counts = (self.fine, self.sums, self.squares, self.ends, self.broken)
        wild = count_rows(np.ascontiguousarray(probability.numpy()), cells, *counts)
        if wild:
            raise ValueError(
                f"{wild} probabilities lie outside [0, 1]; pass probabilities of class 1, not margins: "
                "torch.sigmoid(margin). The tally holds a part of these rows now: begin anew."
            )

    def merge(self, other: Tally) -> None:
        """Add what was counted of other rows of the same models."""
        if self.fine.shape != other.fine.shape:
            raise ValueError(f"tallies of {self.fine.shape[:2]} and {other.fine.shape[:2]} models and cells differ")
        self._check_rows(other.rows)
        for each in fields(self):
            if each.name != "ends":
                getattr(self, each.name)[...] += getattr(other, each.name)
        self.ends[:, 0] = np.minimum(self.ends[:, 0], other.ends[:, 0])
        self.ends[:, 1] = np.maximum(self.ends[:, 1], other.ends[:, 1])

    def tables(self) -> Tensor:
        """[K, g, 2, 2] float64 rows per (group, label, prediction), as :func:`metrics.counts.tables.count_table`."""
        halves = self.fine.reshape(len(self.fine), -1, 2, 2, FINE // 2).sum(-1)
        return torch.from_numpy(halves).to(torch.float64)

    def brier(self, model: int) -> float:
        """Mean squared error."""
        return float(self.squares[model]) / UNIT / self.rows

    def excess(self, model: int) -> NDArray[np.float64]:
        """[g, BINS] sum of p - y by group and bin of the calibration error."""
        positives = self.fine[model, 1::2].reshape(len(self.sizes), BINS, -1).sum(-1)
        found: NDArray[np.float64] = self.sums[model] / UNIT - positives
        return found

    def _check(self, probability: Tensor, labels: Tensor, groups: Tensor) -> None:
        shape = (len(self.fine), len(labels))
        if probability.dtype != torch.float32 or tuple(probability.shape) != shape or groups.shape != labels.shape:
            shapes = [tuple(t.shape) for t in (probability, labels, groups)]
            raise ValueError(
                f"probability, labels and groups have shapes {shapes} and the first is {probability.dtype}; expected "
                f"float32 of {shape}, and one label and group per row"
            )
        self._check_rows(len(labels))

    def _check_rows(self, more: int) -> None:
        if self.rows + more > MOST_ROWS:
            raise ValueError(f"a tally counts at most {MOST_ROWS:,} rows; these would be {self.rows + more:,}")
