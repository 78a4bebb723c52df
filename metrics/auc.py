"""Area under the ROC curve of many score vectors at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_CHUNK = 1 << 20  # scores sorted at once: keys and their running sums stay below 32 MiB


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
    integer of the same width, one integer sort per vector ranks both, and runs of equal bits are the ties.
    """
    vectors, n = probability.shape
    positives = int(labels.sum())
    if positives in (0, n):
        return torch.full((vectors,), torch.nan, dtype=torch.float64)
    if probability.dtype != torch.float64:
        probability = probability.to(torch.float32)
    scores = probability.detach().cpu().numpy()
    classes = labels.cpu().numpy()
    step = max(1, _CHUNK // n)
    wins = [_wins(_sorted_keys(scores[i : i + step], classes), n - positives) for i in range(0, vectors, step)]
    return torch.from_numpy(np.concatenate(wins) / (positives * (n - positives)))


def _sorted_keys(scores: NDArray[Any], classes: NDArray[np.int64]) -> NDArray[Any]:
    """[k, n] sorted integers: the score's bits, then the label as lowest bit."""
    integer: type[np.int32] | type[np.int64] = np.int32 if scores.dtype == np.float32 else np.int64
    bits = (scores + scores.dtype.type(0)).view(integer)  # + 0 turns -0.0, whose top bit is set, into 0.0
    keys: NDArray[Any] = (bits << 1) | classes.astype(integer)
    keys.sort(axis=1)
    return keys


def _wins(keys: NDArray[Any], negatives: int) -> NDArray[np.float64]:
    """[k] pairs (positive, negative) that a sorted key row orders rightly; a tie counts one half."""
    rows, n = keys.shape
    values = keys >> 1
    first = np.ones((rows, n), dtype=bool)
    np.not_equal(values[:, 1:], values[:, :-1], out=first[:, 1:])
    starts = np.flatnonzero(first)
    below = np.concatenate(([0], np.cumsum(~keys.ravel() & 1, dtype=np.int64)))  # negatives before a position
    edges = np.append(starts, rows * n)
    tied_negatives = np.diff(below[edges])
    tied_positives = np.diff(edges) - tied_negatives
    row = starts // n
    won = tied_positives * (below[starts] - row * negatives + tied_negatives / 2)
    total: NDArray[np.float64] = np.bincount(row, weights=won, minlength=rows)
    return total
