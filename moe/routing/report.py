"""Everything about the routing of a mixture: measures with their ids and status, and the table of routing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from metrics.value import Value
from moe.routing.disparity import RoutingDisparity, routing_disparity
from moe.routing.flip import RoutingFlip, routing_flip
from moe.routing.gap_parts import GapParts, gap_decomposition
from moe.routing.oracle_gap import OracleGap, oracle_gap
from moe.routing.routed import Routed, expert_name
from moe.routing.specialisation import Specialisation, specialisation
from moe.routing.table import routing_table
from tasks.task import TaskView


@dataclass(frozen=True)
class RoutingReport:
    """Everything about the routing of a mixture on some rows.

    Attributes
    ----------
    rows : list of dict
        ``group, expert, weight, top1, expert_rate``; see :func:`routing_table`.
    values : dict of str to Value
        By versioned id: ``routing_jsd@1`` (with null), ``routing_tv@1``, ``routing_top1_tv@1``;
        ``soft_dp@1 = soft_dp_routing@1 + soft_dp_within@1`` and the same for ``soft_eopp`` (rows with label 1);
        ``routing_flip_tv@1``, ``routing_flip_top1@1``; ``effective_experts@1``, ``row_experts@1``,
        ``expert_disagreement@1``; ``oracle_regret@1``, ``oracle_closed@1``.
    """

    rows: list[dict[str, Any]]
    values: dict[str, Value]


def routing_report(mixture: Routed, task: TaskView, rows: Tensor, *, seed: int, shuffles: int = 500) -> RoutingReport:
    """Measure the routing of ``mixture`` on rows whose labels are known.

    Parameters
    ----------
    mixture : Routed
    task : TaskView
        With the labels of ``rows``: a full :class:`tasks.task.Task` for test rows.
    rows : [r] int64
    seed : int
        Of the permutation null.
    shuffles : int
    """
    labels, groups, n_groups = task.labels[rows], task.groups[rows], len(task.group_names)
    logits = torch.stack([expert.logits(task, rows) for expert in mixture.experts], -1)
    weights, probabilities = mixture.weights(task, rows), torch.sigmoid(logits)
    names = tuple(expert_name(expert) for expert in mixture.experts)
    values = {
        **_disparity_values(routing_disparity(weights, groups, n_groups, seed=seed, shuffles=shuffles)),
        **_gap_values("soft_dp", gap_decomposition(weights, probabilities, groups, n_groups)),
        **_gap_values("soft_eopp", gap_decomposition(weights, probabilities, groups, n_groups, labels == 1)),
        **_flip_values(routing_flip(mixture, task, rows)),
        **_use_values(specialisation(weights, probabilities)),
        **_oracle_values(oracle_gap(weights, logits, labels, groups, n_groups)),
    }
    return RoutingReport(routing_table(weights, probabilities, groups, task.group_names, names), values)


_ONE_GROUP = "fewer than two groups have such rows"


def _known(estimate: float, reason: str) -> Value:
    return Value.not_estimable(reason) if math.isnan(estimate) else Value(estimate)


def _disparity_values(disparity: RoutingDisparity) -> dict[str, Value]:
    return {
        "routing_jsd@1": replace(
            _known(disparity.jsd, _ONE_GROUP),
            null_p95=disparity.null_p95,
            null_mean=disparity.null_mean,
            null_sd=disparity.null_sd,
        ),
        "routing_tv@1": _known(disparity.tv, _ONE_GROUP),
        "routing_top1_tv@1": _known(disparity.top1_tv, _ONE_GROUP),
    }


def _gap_values(name: str, parts: GapParts | None) -> dict[str, Value]:
    ids = {f"{name}@1": "total", f"{name}_routing@1": "routing", f"{name}_within@1": "within"}
    return {i: Value.not_estimable(_ONE_GROUP) if parts is None else Value(getattr(parts, a)) for i, a in ids.items()}


def _flip_values(flip: RoutingFlip | None) -> dict[str, Value]:
    reason = "the sensitive columns are not features"
    return {
        f"routing_flip_{name}@1": Value.not_estimable(reason) if flip is None else Value(getattr(flip, name))
        for name in ("tv", "top1")
    }


def _use_values(use: Specialisation) -> dict[str, Value]:
    return {
        "effective_experts@1": Value(use.effective_experts),
        "row_experts@1": Value(use.row_experts),
        "expert_disagreement@1": Value(use.disagreement),
    }


def _oracle_values(oracle: OracleGap) -> dict[str, Value]:
    return {
        "oracle_regret@1": _known(oracle.regret, "utility cannot be measured: the rows have a single class"),
        "oracle_closed@1": _known(oracle.closed, "the oracle is not better than the plain average"),
    }
