"""Fixed metrics of all lanes at once: what chooses checkpoints and ranks lanes during training."""

from __future__ import annotations

import torch
from torch import Tensor

from experts.expert import Role
from experts.networks.group_profiles import indicator_or_none
from experts.networks.integrated_gradients import path_slopes
from experts.networks.lanes import LaneParameters, head, hidden, row_chunks, with_ones
from experts.networks.second_layer import SecondLayer
from experts.scores import FINAL, OUTCOME_METRICS, RARER_SHARE, REASON_METRICS
from metrics.composites import final
from metrics.points import point_values, rarer_share
from tasks.task import TaskView

LANE_FLOATS = 1 << 24
"""Floats of attributions held at once (64 MiB)."""


@torch.no_grad()
def lane_probabilities(parameters: LaneParameters, features: Tensor) -> Tensor:
    """[K, n] probabilities of class 1 for features [n, d], computed in chunks of rows."""
    first, second, offset = parameters.split()
    chunks = row_chunks(len(features), len(parameters) * parameters.hidden)
    return torch.cat(
        [torch.sigmoid(head(hidden(first, with_ones(features[c])), second, offset)) for c in chunks], dim=1
    )


@torch.no_grad()
def lane_reasons(parameters: LaneParameters, view: TaskView, features: Tensor) -> tuple[Tensor, Tensor]:
    """Attributions by source column [K, n, c] and probabilities with the top column masked [K, n].

    Columns whose absolute attributions are equal and largest are masked together.
    """
    indicator = indicator_or_none(view.column_of_feature, len(view.columns))
    chunks = row_chunks(len(features), len(parameters) * max(parameters.hidden, parameters.n_features))
    parts = [_reasons(parameters, with_ones(features[c]), indicator) for c in chunks]
    return torch.cat([p[0] for p in parts], dim=2).mT, torch.cat([p[1] for p in parts], dim=1)


def _reasons(parameters: LaneParameters, rows: Tensor, indicator: Tensor | None) -> tuple[Tensor, Tensor]:
    """Attributions [K, c, n] and masked probabilities [K, n] of a chunk of rows [n, d+1]."""
    first, second, offset = parameters.split()
    weights, values = first[..., :-1], rows[:, :-1].T.contiguous()
    pre_activations = hidden(first, rows)
    weighted = path_slopes(pre_activations, first[..., -1]).mul_(second[..., None])
    attributions = torch.bmm(weights.mT, weighted).mul_(values)
    if indicator is not None:
        attributions = indicator @ attributions
    size = attributions.abs()
    top = torch.ge(size, size.amax(1, keepdim=True), out=torch.empty_like(size))  # 1.0 or 0.0
    removed = (top if indicator is None else indicator.T @ top).mul_(values)
    without = torch.baddbmm(pre_activations, weights, removed, alpha=-1)
    return attributions, torch.sigmoid(head(without, second, offset))


def outcome_metrics(
    parameters: LaneParameters, view: TaskView, rows: Tensor, around: SecondLayer | None = None
) -> dict[str, Tensor]:
    """Metric id to [K] float64 values on rows, for what needs predictions only; nan where undefined.

    ``around`` is the second layer of the rows, if there is one.
    """
    probability = _probabilities(parameters, view.features[rows], around)
    labels, groups = view.labels[rows], view.groups[rows]
    values = point_values(probability, labels, groups, len(view.group_names), metrics=OUTCOME_METRICS)
    return {**values, RARER_SHARE: rarer_share(probability)}


def _probabilities(parameters: LaneParameters, features: Tensor, around: SecondLayer | None) -> Tensor:
    return lane_probabilities(parameters, features) if around is None else around.probabilities(parameters)


def reason_metrics(
    parameters: LaneParameters, view: TaskView, rows: Tensor, around: SecondLayer | None = None
) -> dict[str, Tensor]:
    """Metric id to [K] float64 values on rows, for the procedural metrics; lanes are taken a few at a time."""
    from metrics.procedural import procedural_points

    features, labels, groups = view.features[rows], view.labels[rows], view.groups[rows]
    size = max(1, LANE_FLOATS // (len(rows) * len(view.columns)))
    parts = []
    for lanes in torch.split(torch.arange(len(parameters)), size):
        part = parameters.select(lanes)
        if around is None:
            attributions, masked = lane_reasons(part, view, features)
        else:
            attributions, masked = around.reasons(part, indicator_or_none(view.column_of_feature, len(view.columns)))
        probability = _probabilities(part, features, around)
        values = procedural_points(probability, masked, attributions, groups, len(view.group_names), labels)
        parts.append({name: values[name] for name in REASON_METRICS})
    return {name: torch.cat([part[name] for part in parts]) for name in REASON_METRICS}


def lane_metrics(
    parameters: LaneParameters, view: TaskView, rows: Tensor, role: Role, around: SecondLayer | None = None
) -> dict[str, Tensor]:
    """What a role needs to judge a checkpoint: outcome metrics, and reasons where its score looks at them."""
    values = outcome_metrics(parameters, view, rows, around)
    if role in ("utility", "result"):
        return values
    values = {**values, **reason_metrics(parameters, view, rows, around)}
    if role == "combined":
        values[FINAL] = final(values["utility@1"], values["fair_res@1"], values["fair_proc@1"])
    return values
