"""Area under the ROC curve: many score vectors at once, under bootstrap weights, and with DeLong's interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics.proportions import Z, unseen_share
from metrics.resample import weighted_sums
from metrics.value import Value

_CHUNK = 1 << 17  # scores sorted at once: keys and their masks stay in cache
_CACHE = 1 << 18  # weights handled at once: 1 MiB, so that the passes over them stay in cache
ONE_CLASS = "all rows have the same label, AUC compares rows of both"


def auc(probability: Tensor, labels: Tensor) -> Tensor:
    """AUC = P(p+ > p-) + P(p+ = p-)/2, exact with ties.

    Parameters
    ----------
    probability : [K, n] float32 or float64 in [0, 1]
    labels : [n] int64 in {0, 1}

    Returns
    -------
    [K] float64; nan for all vectors if only one class is present.

    Notes
    -----
    Floats in [0, 1] order like their bit patterns, which leave the top bit free. So (bits, label) packs into one
    integer of the same width and one integer sort per vector ranks both. Within a tie negatives come first, so the sum
    of the positives' positions counts tied pairs as won; half of them is taken back where a tie holds both classes.
    """
    vectors, n = probability.shape
    positives = int(labels.sum())
    if positives in (0, n):
        return torch.full((vectors,), torch.nan, dtype=torch.float64)
    scores, classes = _scores(probability), labels.cpu().numpy()
    step = max(1, _CHUNK // n)
    wins = [_wins(_sorted_keys(scores[i : i + step], classes)) for i in range(0, vectors, step)]
    return torch.from_numpy((np.concatenate(wins) - positives * (positives - 1) / 2) / (positives * (n - positives)))


def auc_value(probability: Tensor, labels: Tensor) -> Value:
    """AUC of one vector with DeLong's 95 % interval.

    Parameters
    ----------
    probability : [n] float in [0, 1]
    labels : [n] int64 in {0, 1}

    Returns
    -------
    Value
        not estimable if one class is missing. The interval is symmetric on the logit scale (it stays in [0, 1]; Pepe
        2003, ch. 5) with the variance of :func:`delong_variance`. Where that is 0 because the AUC is 0 or 1, the far
        end is the exact (Clopper-Pearson) bound of min(positives, negatives) independent pairs that were all ordered
        the same way. An AUC of exactly 0.5 without variance (constant scores) has the interval [0.5, 0.5].
    """
    estimate = float(auc(probability[None], labels)[0])
    if math.isnan(estimate):
        return Value.not_estimable(ONE_CLASS)
    positives = int(labels.sum())
    if estimate in (0.0, 1.0):
        return Value(estimate, *ends_of_area(estimate, 0.0, min(positives, labels.numel() - positives)))
    return Value(estimate, *ends_of_area(estimate, delong_variance(probability, labels)))


def ends_of_area(estimate: float, variance: float, pairs: int = 0) -> tuple[float, float]:
    """95 % interval of an AUC with a variance; ``pairs`` that are independent matter where it is 0 or 1."""
    if estimate in (0.0, 1.0):
        open_end = unseen_share(pairs)
        return (1 - open_end, 1.0) if estimate else (0.0, open_end)
    error = math.sqrt(variance) / (estimate * (1 - estimate))
    centre = math.log(estimate / (1 - estimate))
    low, high = (1 / (1 + math.exp(-(centre + sign * Z * error))) for sign in (-1, 1))
    return low, high


def delong_variance(probability: Tensor, labels: Tensor) -> float:
    """Variance of the AUC of one vector [n] (DeLong, DeLong & Clarke-Pearson 1988), in O(n log n).

    var(V10)/m + var(V01)/l with placements V10 (share of negatives below a positive) and V01 (share of positives above
    a negative); a class with one row contributes its maximum A(1 - A), as its spread cannot be seen.
    """
    return _runs(_scores(probability[None]), labels.cpu().numpy()).variance


def weighted_auc(probability: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """[B] float64 AUC of one vector [n] under B weightings [B, n] of the rows; nan where a class has no weight."""
    order = torch.argsort(probability)
    positive, negative = order[labels[order] == 1], order[labels[order] == 0]
    lower = torch.searchsorted(probability[negative], probability[positive])
    upper = torch.searchsorted(probability[negative], probability[positive], right=True)
    step = max(1, _CACHE // len(order))
    draws = []
    for start in range(0, len(weights), step):
        block = weights[start : start + step].to(torch.float32)
        wins = block.index_select(1, positive)
        below = torch.zeros(len(block), len(negative) + 1)  # below[:, j]: weight of the j lowest negatives
        torch.cumsum(block.index_select(1, negative), 1, out=below[:, 1:])
        beaten = below.index_select(1, lower)
        if not torch.equal(lower, upper):
            beaten = (beaten + below.index_select(1, upper)) / 2
        draws.append((wins * beaten).sum(1).to(torch.float64) / (wins.sum(1).to(torch.float64) * below[:, -1]))
    return torch.cat(draws)


def projected_auc(probability: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """[B] float64 first-order :func:`weighted_auc`: weighted means of the placements, one matrix product for all draws.

    A U-statistic's projection (Hájek; the placements are those of :func:`delong_variance`): AUC_b is the mean V10 of
    the drawn positives plus the mean V01 of the drawn negatives minus the AUC. What is left out is of the order of
    1/√(positives · negatives), below a tenth of the spread of the draws from some hundred rows of each class on.
    Arguments as in :func:`weighted_auc`; nan where a class has no weight.
    """
    positive = labels == 1
    above, below = probability[positive], probability[~positive]
    won, lost = _below(above, below), _below(below, above)
    columns = torch.zeros(len(labels), 4)
    columns[positive, 0], columns[~positive, 1] = won.to(torch.float32), (1 - lost).to(torch.float32)
    columns[positive, 2], columns[~positive, 3] = 1.0, 1.0
    sums = weighted_sums(weights, columns)
    return sums[:, 0] / sums[:, 2] + sums[:, 1] / sums[:, 3] - won.mean()


def _below(scores: Tensor, others: Tensor) -> Tensor:
    """[m] float64 share of other scores below each score; equal ones count half."""
    ranked = others.sort().values
    found = torch.searchsorted(ranked, scores) + torch.searchsorted(ranked, scores, right=True)
    return found.to(torch.float64) / (2 * len(ranked))


@dataclass(frozen=True)
class Runs:
    """Runs of equal scores of one vector in ascending order: positives and negatives [runs] of each."""

    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]

    @property
    def placements(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """[runs] V10, the share of negatives below a positive, and V01, the share of positives above a negative.

        Equal scores count half.
        """
        positives, negatives = self.positives.sum(), self.negatives.sum()
        v10 = (np.cumsum(self.negatives) - self.negatives + self.negatives / 2) / negatives
        v01 = (positives - np.cumsum(self.positives) + self.positives / 2) / positives
        return v10, v01

    @property
    def area(self) -> float:
        """AUC: the mean V10 of the positives."""
        return float((self.placements[0] * self.positives).sum() / self.positives.sum())

    @property
    def variance(self) -> float:
        """DeLong's variance of the AUC, see :func:`delong_variance`."""
        (v10, v01), area = self.placements, self.area
        return sum(
            float((count * (v - area) ** 2).sum() / (rows - 1) / rows) if rows > 1 else area * (1 - area)
            for v, count, rows in (
                (v10, self.positives, self.positives.sum()),
                (v01, self.negatives, self.negatives.sum()),
            )
        )


def _scores(probability: Tensor) -> NDArray[Any]:
    """[K, n] float32 or float64 array of scores."""
    wide = probability if probability.dtype == torch.float64 else probability.to(torch.float32)
    scores: NDArray[Any] = wide.detach().cpu().numpy()
    return scores


def _runs(scores: NDArray[Any], classes: NDArray[np.int64]) -> Runs:
    """Runs of equal scores of one vector [1, n]."""
    keys = _sorted_keys(scores, classes)[0]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] >> 1 != keys[:-1] >> 1)))
    edges = np.append(starts, len(keys))
    below = np.concatenate(([0], np.cumsum(~keys & 1, dtype=np.int64)))[edges]  # negatives before each run
    negatives = np.diff(below)
    return Runs(np.diff(edges) - negatives, negatives)


def _sorted_keys(scores: NDArray[Any], classes: NDArray[np.int64]) -> NDArray[Any]:
    """[k, n] sorted integers: the score's bits, then the label as lowest bit."""
    integer: type[np.int32] | type[np.int64] = np.int32 if scores.dtype == np.float32 else np.int64
    keys: NDArray[Any] = (scores + scores.dtype.type(0)).view(integer)  # + 0 turns -0.0, with its top bit, into 0.0
    keys <<= 1
    keys |= classes.astype(integer)
    keys.sort(axis=1)
    return keys


def _wins(keys: NDArray[Any]) -> NDArray[np.float64]:
    """[k] sum of the positives' positions in sorted key rows, less half of the tied pairs."""
    position = np.arange(keys.shape[1], dtype=np.float64)
    wins: NDArray[np.float64] = (keys & 1).astype(np.float64) @ position
    # neighbours that differ in the label alone: here a tie passes from negatives to positives
    mixed = np.flatnonzero((keys[:, :-1] ^ keys[:, 1:]) == 1)
    rows, last_negative = np.divmod(mixed, keys.shape[1] - 1)
    for row in np.unique(rows):
        at = last_negative[rows == row]
        first = np.searchsorted(keys[row], keys[row, at], side="left")
        end = np.searchsorted(keys[row], keys[row, at + 1], side="right")
        wins[row] -= ((at + 1 - first) * (end - at - 1)).sum() / 2
    return wins
