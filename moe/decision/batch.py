"""Cuts that give the groups of one batch chosen selection rates."""

from __future__ import annotations

import torch
from torch import Tensor

from metrics.threshold_pool import Ranking


def batch_cuts(margins: Tensor, groups: Tensor, rates: Tensor, otherwise: Tensor) -> Tensor:
    """[g] float64 cuts at which each group's share of selected rows on this batch is its rate, as nearly as ties allow.

    Parameters
    ----------
    margins : [n] float64
    groups : [n] int64
    rates : [g] float64 in [0, 1]
    otherwise : [g] float64
        Cuts of groups without a row in the batch.

    Notes
    -----
    No label is looked at. The selection rates are a property of this batch alone: on further rows the same cuts vary as
    any others do.
    """
    cuts = otherwise.clone()
    for group, rate in enumerate(rates.tolist()):
        own = margins[groups == group]
        if len(own):
            ranking = Ranking.of(own, torch.zeros(len(own), dtype=torch.int64))
            cuts[group] = ranking.cut(ranking.nearest(torch.tensor([round(rate * len(own))])))[0]
    return cuts
