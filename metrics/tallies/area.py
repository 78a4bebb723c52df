"""AUC of histograms: the value with the error that binning can make of it, and draws that belong to those of counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics.auc import Runs
from metrics.tallies.kernel import FINE


@dataclass(frozen=True)
class BinnedArea:
    """AUC of one prediction's rows in bins of equal width.

    Attributes
    ----------
    runs : Runs
        The bins that hold rows, as runs of equal scores: within a bin every pair counts half.
    places : [runs] int64
        Which bin of ``FINE`` each run is.
    """

    runs: Runs
    places: NDArray[np.int64]

    @classmethod
    def of(cls, fine: NDArray[np.int64]) -> BinnedArea:
        """From rows by cell (2 · group + label) and bin [2g, FINE], with rows of both labels."""
        negatives, positives = fine[::2].sum(0), fine[1::2].sum(0)
        places = np.flatnonzero(negatives + positives)
        return cls(Runs(positives[places], negatives[places]), places)

    @property
    def error(self) -> float:
        """How far the AUC of the rows themselves can lie from :attr:`Runs.area`, at most: half of the mixed pairs."""
        positives, negatives = self.runs.positives, self.runs.negatives
        mixed = float((positives.astype(np.float64) * negatives).sum())
        return mixed / 2 / (float(positives.sum()) * float(negatives.sum()))

    def draws(self, tables: Tensor, fine: NDArray[np.int64], generator: np.random.Generator) -> Tensor:
        """[B] float64 AUC of resampled rows whose counts are known, to first order.

        The projection of a U-statistic (as in :func:`metrics.auc.projected_auc`) is a mean of one number per row, its
        placement. Given how many rows of a cell (group, label, prediction) were drawn, their sum of placements is that
        of so many independent rows of the cell: normal, with the cell's mean and variance. So draws of AUC belong to
        the draws of the count tables that they are given.

        Parameters
        ----------
        tables : [B, g, 2, 2] float64
            Resampled count tables.
        fine : [2g, FINE] int64
            Rows by cell (2 · group + label) and bin.
        """
        drawn = tables.numpy().reshape(len(tables), -1, 2)  # [B, 2g, prediction]
        means, variances = self._cells(fine)
        noise = generator.standard_normal(drawn.shape)
        sums = drawn * means + np.sqrt(drawn * variances) * noise
        by_label = sums.reshape(len(drawn), -1, 2, 2).sum((1, 3)), drawn.reshape(len(drawn), -1, 2, 2).sum((1, 3))
        with np.errstate(invalid="ignore"):
            mean = by_label[0] / by_label[1]
        return torch.from_numpy(mean.sum(1) - self.runs.area)

    def _cells(self, fine: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """[2g, 2] mean and variance of the placements of each cell and prediction; 0 for one without rows."""
        won, lost = self.runs.placements
        placement = np.zeros((2, FINE))
        placement[1, self.places], placement[0, self.places] = won, lost
        rows = fine.reshape(-1, 2, 2, FINE // 2)  # [g, label, prediction, bin]
        value = placement.reshape(2, 2, FINE // 2)
        count = np.maximum(rows.sum(-1), 1)
        mean = (rows * value).sum(-1) / count
        variance = np.maximum((rows * value**2).sum(-1) / count - mean**2, 0.0)
        return mean.reshape(-1, 2), variance.reshape(-1, 2)
