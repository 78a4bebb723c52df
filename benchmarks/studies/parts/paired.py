"""What predictions of several splits say, with intervals over their test rows: one mean, and the mean of a difference.

Rows are drawn again with replacement within each split, for all methods alike, and a draw is the mean over the splits.
Test rows of two splits of one data set are partly the same, which these intervals do not know; they say how sure the
rows make us, not how much another population would differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from foundation.seeding import numpy_generator
from metrics.auc import weighted_auc
from metrics.resample import row_weights

DRAWS = 2000


class Interval(NamedTuple):
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float

    def words(self, digits: int = 3, sign: bool = False) -> str:
        """As ``.712 [.690, .733]``."""
        form = f"{'+' if sign else ''}.{digits}f"
        texts = (format(value, form).replace("0.", ".", 1) for value in self)
        return "{} [{}, {}]".format(*texts)


class Said(NamedTuple):
    """What a method says of the test rows of one split.

    Attributes
    ----------
    margins : [n] float
        The larger, the likelier yes.
    threshold : float
        Above it a row is predicted yes; chosen on validation rows.
    labels, groups : [n] int64
    """

    margins: Tensor
    threshold: float
    labels: Tensor
    groups: Tensor


def draws_of(splits: Sequence[Said], seed: int = 0, draws: int = DRAWS) -> dict[str, Tensor]:
    """[1 + B] AUC, accuracy and gap in selection rates (largest between two groups), means over the splits.

    The first is of the rows as they are.
    """
    found = [_split_draws(split, seed, index, draws) for index, split in enumerate(splits)]
    return {name: torch.stack([part[name] for part in found]).mean(0) for name in found[0]}


def interval(draws: Tensor) -> Interval:
    """The first of [1 + B] values with the middle 95 % of the others; draws without a value are left out."""
    some = draws[1:][draws[1:].isfinite()]
    low, high = torch.quantile(some, torch.tensor([0.025, 0.975], dtype=some.dtype)).tolist()
    return Interval(float(draws[0]), low, high)


def _split_draws(split: Said, seed: int, index: int, draws: int) -> dict[str, Tensor]:
    n = len(split.labels)
    drawn = row_weights(n, draws, numpy_generator(seed, "paired rows", index)).double()
    weights = torch.cat([torch.ones(1, n, dtype=torch.float64), drawn])
    yes = (split.margins > split.threshold).double()
    right = (yes == split.labels).double()
    rates = []
    for group in range(int(split.groups.max()) + 1):
        members = (split.groups == group).double()
        rates.append((weights @ (yes * members)) / (weights @ members))
    spread = torch.stack(rates)
    return {
        "auc": weighted_auc(split.margins.double(), split.labels, weights),
        "accuracy": weights @ right / n,
        "dp": spread.amax(0) - spread.amin(0),
    }


def best_threshold(margins: Tensor, labels: Tensor) -> float:
    """The threshold of highest accuracy on some rows, between two neighbouring margins; the middle one of the best.

    Parameters
    ----------
    margins : [n] float
    labels : [n] int64
    """
    known = torch.unique(margins.double())
    ends = torch.cat([known[:1] - 1, (known[:-1] + known[1:]) / 2, known[-1:] + 1])
    right = ((margins.double() > ends[:, None]) == (labels == 1)).double().mean(1)
    best = torch.nonzero(right == right.max())[:, 0]
    return float(ends[best[len(best) // 2]])
