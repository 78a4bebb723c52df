"""Procedural fairness: whether the reasons for predictions, and their quality, are alike for all groups.

``masked`` probabilities are those after a row's own most important column (largest absolute attribution; the first of
equals) was set to unknown. Who builds the :class:`metrics.evidence.Evidence` does the masking, because only the
model's holder can; nothing here can check which column it was.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metrics.attribution import att_jsd, profiles, signed_gap
from metrics.fidelity import ONE_IN, accuracy_drop, fidelity, ref, vef


def procedural_points(
    probability: Tensor,
    masked: Tensor,
    attributions: Tensor,
    groups: Tensor,
    n_groups: int,
    labels: Tensor | None = None,
) -> dict[str, Tensor]:
    """Point values of K models on the same n rows; no interval, no null.

    Parameters
    ----------
    probability, masked : [K, n] float in [0, 1]
        Probability of class 1 of the row, and of the row without its most important column.
    attributions : [K, n, c] float
        Signed attributions to source columns.
    groups : [n] int64 in 0..n_groups-1
    labels : [n] int64 in {0, 1}, optional
        Adds ``vef_acc@1``.

    Returns
    -------
    dict of id -> [K] float64: ``ref@1``, ``vef@1``, ``att_jsd@1``, ``fair_proc@1`` (their mean, in [0, 4/3]),
    ``signed_att@1`` and, with labels, ``vef_acc@1``; lower is fairer. nan where not estimable (fewer than two groups
    of at least 5 rows) and for every metric of a model with a nan (a diverged lane is never fair).
    """
    probability, masked, attributions = probability.detach(), masked.detach(), attributions.detach()
    _check(probability, masked, attributions, groups)
    estimable = torch.bincount(groups, minlength=n_groups) >= ONE_IN
    scores = fidelity(probability, masked)
    sums = profiles(attributions, groups, n_groups)
    values = {
        "ref@1": ref(scores, groups, n_groups),
        "vef@1": vef(scores, scores, groups, n_groups),
        "att_jsd@1": att_jsd(sums, estimable),
        "signed_att@1": signed_gap(sums, estimable),
    }
    values["fair_proc@1"] = (values["ref@1"] + values["vef@1"] + values["att_jsd@1"]) / 3
    if labels is not None:
        values["vef_acc@1"] = vef(scores, accuracy_drop(probability, masked, labels), groups, n_groups)
    broken = ~(torch.isfinite(scores.sum(1)) & torch.isfinite(sums.signed.sum((1, 2))))
    return {name: torch.where(broken, torch.nan, value) for name, value in values.items()}


def _check(probability: Tensor, masked: Tensor, attributions: Tensor, groups: Tensor) -> None:
    shape = probability.shape
    if masked.shape != shape or attributions.shape[:-1] != shape or groups.shape != shape[1:]:
        shapes = [tuple(t.shape) for t in (probability, masked, attributions, groups)]
        raise ValueError(
            f"probability, masked, attributions and groups have shapes {shapes}; "
            "expected [K, n], [K, n], [K, n, c] and [n]"
        )
