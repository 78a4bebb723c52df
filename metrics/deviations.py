"""How far resampled group rates lie from the observed ones, in the norm of each gap: the honest end of its interval.

A gap is a seminorm of the rates r, so ``|gap(r) - gap(s)| <= gap(r - s)`` for any r and s. If gap(observed - true) is
at most c with probability 95 %, then ``gap(observed) - c`` is a valid lower end, for any number of groups and however
close to 0 the true gap is. The bootstrap law of gap(resampled - observed) stands for that of gap(observed - true). The
same holds for -log(ratio), a gap of log rates, and for a minimum, which moves by at most the largest change of a rate.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metrics.points import GroupRates, gap_values, group_rates
from metrics.rates import FALSE_POSITIVE_RATE, SELECTION_RATE, TRUE_POSITIVE_RATE, gap, ratio, rows_among


def count_deviations(drawn: Tensor, table: Tensor, min_rows: int = 1) -> dict[str, Tensor]:
    """Deviations of every gap, ratio and minimum of counts.

    Parameters
    ----------
    drawn : [B, g, 2, 2] float64
        Resampled tables.
    table : [g, 2, 2] float64
        The observed table; it decides which groups have ``min_rows`` relevant rows.

    Returns
    -------
    dict of id -> [B] float64, at least 0, on the scale of the metric.
    """
    sizes = table.sum(-1)
    observed, resampled = group_rates(table, min_rows), group_rates(drawn, min_rows, sizes)
    centred = GroupRates(*(new - old for new, old in zip(resampled, observed, strict=True)))
    dp, eopp, fpr = (
        _log_gap(new, old, rows_among(rate, table))
        for new, old, rate in (
            (resampled.selection, observed.selection, SELECTION_RATE),
            (resampled.tpr, observed.tpr, TRUE_POSITIVE_RATE),
            (resampled.fpr, observed.fpr, FALSE_POSITIVE_RATE),
        )
    )
    dp_ratio, eopp_ratio = ratio(observed.selection), ratio(observed.tpr)
    return {
        **gap_values(centred),
        "dp_ratio@1": dp_ratio * torch.expm1(dp),
        "eopp_ratio@1": eopp_ratio * torch.expm1(eopp),
        "eodds_ratio@1": torch.minimum(eopp_ratio, ratio(observed.fpr)) * torch.expm1(torch.maximum(eopp, fpr)),
        "worst_acc@1": _largest(centred.accuracy),
        "worst_tpr@1": _largest(centred.tpr),
    }


def _log_gap(resampled: Tensor, observed: Tensor, rows: Tensor) -> Tensor:
    """[B] gap of the change of log rates; a rate below half a row counts as half a row."""
    floor = 0.5 / rows.clamp(min=1)
    return gap(torch.log(torch.maximum(resampled, floor)) - torch.log(torch.maximum(observed, floor)))


def _largest(change: Tensor) -> Tensor:
    """[B] largest absolute change over groups; groups without a rate do not count."""
    return change.abs().nan_to_num(nan=0.0).amax(-1)
