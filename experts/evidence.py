"""What an expert hands over to be scored: predictions, reasons, and predictions on altered rows."""

from __future__ import annotations

import torch
from torch import Tensor

from experts.expert import Expert
from foundation.seeding import torch_generator
from metrics.evidence import Evidence
from tasks.task import TaskView
from tasks.thinning import thinned

CHUNK_ROWS = 1 << 14

ALL_EXPLAINED = 1000
"""Rows of a part up to which all are explained."""

EXPLAINED_ROWS = 500
"""Rows that are explained of larger parts: exact reasons of bagged trees cost more than all else of a job."""


def collect_evidence(expert: Expert, view: TaskView, rows: Tensor, explained: Tensor | None = None) -> Evidence:
    """All that the fixed metrics need to know of an expert on rows [r], in the order of ``rows``.

    Probabilities, signed attributions by source column, probabilities with each row's own most important column
    (largest absolute attribution, the first of equals) set to unknown, and probabilities with every row moved to each
    group, where the group can matter: the sensitive columns are features, or the expert is told the group (it says so
    by ``knows_group``).

    Parameters
    ----------
    expert : Expert
    view : TaskView
    rows : [r] int64
    explained : [e] int64, optional
        Positions in ``rows`` that are explained (attributions, masked predictions), ascending; default: all. See
        :func:`explained_positions`.
    """
    few = rows if explained is None else rows[explained]
    chunks = torch.split(few, CHUNK_ROWS)
    attributions = torch.cat([expert.attributions(view, part).detach() for part in chunks])
    keep = torch.ones_like(attributions, dtype=torch.bool)
    keep.scatter_(1, attributions.abs().argmax(1, keepdim=True), False)
    probability = _probability(expert, view, rows)
    return Evidence(
        probability=probability,
        attributions=attributions,
        masked=_probability(expert, view, few, keep),
        counterfactual=_counterfactual(expert, view, rows, probability if explained is not None else None),
        features=_blind_features(view, few),
        sensitive_columns=view.sensitive_columns,
        explainer=expert.explainer,
        explained=explained,
    )


def explained_positions(labels: Tensor, groups: Tensor, seed: int) -> Tensor | None:
    """[e] positions of the rows that are explained, stratified by label × group; None: all of few rows.

    Parameters
    ----------
    labels, groups : [r] int64
        Of the rows that are scored.
    seed : int
        The same for every method, so that all are judged by the same reasons.
    """
    if len(labels) <= ALL_EXPLAINED:
        return None
    return thinned(labels, groups, EXPLAINED_ROWS, torch_generator(seed, "explained rows"))


def _blind_features(view: TaskView, rows: Tensor) -> Tensor:
    """[r, d] features without the sensitive ones: rows that are to be matched must not differ by group alone."""
    features = view.features[rows]
    return features if view.flip is None else features * ~view.flip.mask


def _probability(expert: Expert, view: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
    """[r] probabilities of class 1."""
    keeps = [None] * len(rows) if keep is None else torch.split(keep, CHUNK_ROWS)
    parts = [
        expert.logits(view, part, k).detach() for part, k in zip(torch.split(rows, CHUNK_ROWS), keeps, strict=False)
    ]
    return torch.sigmoid(torch.cat(parts))


def _counterfactual(expert: Expert, view: TaskView, rows: Tensor, own: Tensor | None) -> Tensor | None:
    """[r, g] probabilities after every row was moved to each group; None where the expert cannot see the group.

    Where ``own`` probabilities [r] are given, they stand in the column of a row's own group, which no metric looks at.
    """
    if view.flip is None and not getattr(expert, "knows_group", False):
        return None
    move = view.in_group if view.flip is None else view.moved_to
    if own is None:
        moved = (move(group) for group in range(len(view.group_names)))
        return torch.stack([_probability(expert, other, rows) for other in moved], dim=1)
    columns = []
    for group in range(len(view.group_names)):
        others = torch.nonzero(view.groups[rows] != group).flatten()
        found = _probability(expert, move(group), rows[others]) if len(others) else own[others]
        columns.append(own.index_copy(0, others, found.to(own.dtype)))
    return torch.stack(columns, dim=1)
