"""Counterfactual flips: what happens to a prediction when only the sensitive columns change.

"Unfairness" of Agarwal, Lakkaraju, Zitnik (UAI 2021, NIFTY), for any number of groups: every row is moved to every
other group. Only the direct use of the sensitive columns is seen; their proxies stay as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor


def flips(probability: Tensor, counterfactual: Tensor, groups: Tensor) -> Tensor:
    """[r] float64 share of the other groups in which the row's prediction differs; its mean is CFR, in [0, 1].

    Parameters
    ----------
    probability : [r] float
    counterfactual : [r, g] float
        Probability with the sensitive columns set to those of group k; the row's own group is not used.
    groups : [r] int64
    """
    changed = (counterfactual > 0.5) != (probability > 0.5)[:, None]
    return _mean_over_others(changed.to(torch.float64), groups)


def shifts(probability: Tensor, counterfactual: Tensor, groups: Tensor) -> Tensor:
    """[r] float64 mean |p - p'| over the other groups (soft CFR); arguments as in :func:`flips`."""
    return _mean_over_others((counterfactual - probability[:, None]).abs().to(torch.float64), groups)


def _mean_over_others(values: Tensor, groups: Tensor) -> Tensor:
    others = torch.nn.functional.one_hot(groups, values.shape[1]) == 0
    return (values * others).sum(1) / (values.shape[1] - 1)
