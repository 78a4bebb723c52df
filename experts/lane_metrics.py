"""Fixed metrics of all lanes at once: what chooses checkpoints and ranks lanes during training."""

from __future__ import annotations

import torch
from torch import Tensor

from experts.expert import Role
from experts.integrated_gradients import attributions_of, by_column, column_indicator
from experts.lanes import LaneParameters, head, hidden, row_chunks, with_ones
from metrics.points import point_values
from tasks.task import TaskView

OUTCOME_METRICS = ("acc@1", "f1@1", "auc@1", "utility@1", "dp@1", "eopp@1", "fair_res@1")
REASON_METRICS = ("ref@1", "vef@1", "att_jsd@1", "fair_proc@1")
SCORES: dict[Role, str] = {"utility": "utility@1", "result": "fair_res@1", "procedural": "fair_proc@1"}
"""The metric that a role is judged by; higher is better for utility@1, lower for the others."""

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
    """Attributions by source column [K, n, c] and probabilities with the top column masked [K, n]."""
    owner = view.column_of_feature
    indicator = column_indicator(owner, len(view.columns))
    chunks = row_chunks(len(features), len(parameters) * max(parameters.hidden, parameters.n_features))
    parts = [_reasons(parameters, with_ones(features[c]), owner, indicator) for c in chunks]
    return torch.cat([p[0] for p in parts], dim=1), torch.cat([p[1] for p in parts], dim=1)


def _reasons(parameters: LaneParameters, rows: Tensor, owner: Tensor, indicator: Tensor) -> tuple[Tensor, Tensor]:
    first, second, offset = parameters.split()
    pre_activations = hidden(first, rows)
    attributions = by_column(attributions_of(pre_activations, first, second, rows), indicator)
    removed = (attributions.abs().argmax(-1, keepdim=True) == owner) * rows[:, :-1]  # [K, n, d]
    without = torch.baddbmm(pre_activations, first[..., :-1], removed.mT, alpha=-1)
    return attributions, torch.sigmoid(head(without, second, offset))


def outcome_metrics(parameters: LaneParameters, view: TaskView, rows: Tensor) -> dict[str, Tensor]:
    """Metric id to [K] float64 values on rows, for the metrics that need predictions only; nan where undefined."""
    probability = lane_probabilities(parameters, view.features[rows])
    labels, groups = view.labels[rows], view.groups[rows]
    return point_values(probability, labels, groups, len(view.group_names), metrics=OUTCOME_METRICS)


def reason_metrics(parameters: LaneParameters, view: TaskView, rows: Tensor) -> dict[str, Tensor]:
    """Metric id to [K] float64 values on rows, for the procedural metrics; lanes are taken a few at a time."""
    from metrics.procedural import procedural_points

    features, labels, groups = view.features[rows], view.labels[rows], view.groups[rows]
    size = max(1, LANE_FLOATS // (len(rows) * len(view.columns)))
    parts = []
    for lanes in torch.arange(len(parameters)).split(size):
        part = parameters.select(lanes)
        attributions, masked = lane_reasons(part, view, features)
        probability = lane_probabilities(part, features)
        values = procedural_points(probability, masked, attributions, groups, len(view.group_names), labels)
        parts.append({name: values[name] for name in REASON_METRICS})
    return {name: torch.cat([part[name] for part in parts]) for name in REASON_METRICS}


def lane_metrics(parameters: LaneParameters, view: TaskView, rows: Tensor, role: Role) -> dict[str, Tensor]:
    """What a role needs to judge a checkpoint: outcome metrics, and reasons for the procedural role."""
    values = outcome_metrics(parameters, view, rows)
    return {**values, **reason_metrics(parameters, view, rows)} if role == "procedural" else values
