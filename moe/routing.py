"""How a mixture routes: who is sent to which expert, and what that does to the gaps.

With gate weights g_k(x), m_sk = E[g_k | group s] and q_sk = E[g_k p_k | s] / m_sk (the weighted mean probability that
expert k gives to group s).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from experts.expert import Expert
from foundation.seeding import torch_generator
from gates.gate import GateState
from gates.mixing import mixture_margin
from gates.objective import pairwise_jsd
from gates.oracle import OracleGate
from metrics.points import point_values
from metrics.value import Value
from tasks.task import TaskView


@runtime_checkable
class Routed(Protocol):
    """A model that gives each row weights on experts: output mixtures, and mixtures in the space of weights."""

    @property
    def experts(self) -> tuple[Expert, ...]:
        """The experts, in the order of the weights."""
        ...

    def weights(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r, m] weights on the simplex."""
        ...


def expert_name(expert: Expert) -> str:
    """Name of an expert among those of a mixture: its role, and its family where that is not the tabular one."""
    return expert.role if expert.family == "mlp" else f"{expert.family}_{expert.role}"


def _membership(groups: Tensor, n_groups: int) -> Tensor:
    """[n, g] float64 one-hot divided by group size; the column of an empty group is nan."""
    members = torch.nn.functional.one_hot(groups, n_groups).to(torch.float64)
    return members / members.sum(0)


def routing_table(
    weights: Tensor, probabilities: Tensor, groups: Tensor, group_names: tuple[str, ...], experts: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Rows ``group, expert, weight, top1, expert_rate`` of ``routing.csv``, one per group present and expert.

    Parameters
    ----------
    weights, probabilities : [n, m]
        Gate weights and probabilities of the experts.
    groups : [n] int64
    group_names : tuple of str
    experts : tuple of str
        Names of the m experts.

    Returns
    -------
    list of dict
        ``weight`` is m_sk, ``top1`` the share of rows whose largest weight is the expert's, ``expert_rate`` q_sk
        (nan for an expert that the group never gets).
    """
    members = _membership(groups, len(group_names))
    mean = members.T @ weights.double()
    top1 = members.T @ torch.nn.functional.one_hot(weights.argmax(-1), weights.shape[-1]).double()
    rate = members.T @ (weights.double() * probabilities.double()) / mean
    return [
        {
            "group": name,
            "expert": expert,
            "weight": float(mean[s, k]),
            "top1": float(top1[s, k]),
            "expert_rate": float(rate[s, k]),
        }
        for s, name in enumerate(group_names)
        if bool((groups == s).any())
        for k, expert in enumerate(experts)
    ]


@dataclass(frozen=True)
class RoutingDisparity:
    """How differently groups are routed; largest value over pairs of groups.

    Attributes
    ----------
    jsd : float
        Jensen-Shannon divergence of the groups' mean weights in bits, in [0, 1].
    tv : float
        Total variation of the groups' mean weights, in [0, 1].
    top1_tv : float
        Total variation of the groups' shares of top-1 experts.
    null_p95 : float
        95th percentile of ``jsd`` when group membership is shuffled.
    p_value : float
        (1 + shuffles with at least the observed ``jsd``) / (1 + shuffles).
    """

    jsd: float
    tv: float
    top1_tv: float
    null_p95: float
    p_value: float


def _profiles(values: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """[g', m] mean of values [n, m] in each group present."""
    means = _membership(groups, n_groups).T @ values
    return means[~torch.isnan(means).any(-1)]


def _largest_tv(profiles: Tensor) -> float:
    pairs = combinations(profiles, 2)
    return max((float((p - q).abs().sum()) / 2 for p, q in pairs), default=math.nan)


def routing_disparity(
    weights: Tensor, groups: Tensor, n_groups: int, *, seed: int, shuffles: int = 500
) -> RoutingDisparity:
    """RD = JSD(m_0, m_1) / ln 2 with its permutation null; all nan when fewer than two groups are present.

    Parameters
    ----------
    weights : [n, m]
    groups : [n] int64
    n_groups : int
    seed : int
    shuffles : int
    """
    values = weights.double()
    profiles = _profiles(values, groups, n_groups)
    if len(profiles) < 2:
        return RoutingDisparity(*(math.nan,) * 5)
    observed = float(pairwise_jsd(profiles))
    generator = torch_generator(seed, "routing disparity")
    null = torch.stack([
        pairwise_jsd(_profiles(values[torch.randperm(len(values), generator=generator)], groups, n_groups))
        for _ in range(shuffles)
    ])  # fmt: skip
    top1 = torch.nn.functional.one_hot(values.argmax(-1), values.shape[-1]).double()
    return RoutingDisparity(
        jsd=observed,
        tv=_largest_tv(profiles),
        top1_tv=_largest_tv(_profiles(top1, groups, n_groups)),
        null_p95=float(torch.quantile(null, 0.95)),
        p_value=(1 + int((null >= observed - 1e-15).sum())) / (1 + shuffles),
    )


@dataclass(frozen=True)
class GapParts:
    """A soft gap of the mixture, exactly split: ``total == routing + within`` (signed, first minus second group).

    Attributes
    ----------
    first, second : int
        The groups compared: those with the largest and the smallest mean probability.
    total : float
        E[p | first] - E[p | second], the soft gap.
    routing : float
        sum_k (m_1k - m_2k)(q_1k + q_2k) / 2: the groups get different experts.
    within : float
        sum_k (q_1k - q_2k)(m_1k + m_2k) / 2: the same experts treat the groups differently.
    """

    first: int
    second: int
    total: float
    routing: float
    within: float


def gap_decomposition(
    weights: Tensor, probabilities: Tensor, groups: Tensor, n_groups: int, among: Tensor | None = None
) -> GapParts | None:
    """Split the mixture's soft DP gap into routing and within-expert parts; None if fewer than two groups have rows.

    Parameters
    ----------
    weights, probabilities : [n, m]
    groups : [n] int64
    n_groups : int
    among : [n] bool, optional
        Rows to look at: ``labels == 1`` gives the gap of equal opportunity.
    """
    if among is not None:
        weights, probabilities, groups = weights[among], probabilities[among], groups[among]
    present = torch.unique(groups).tolist()
    if len(present) < 2:
        return None
    members = _membership(groups, n_groups)
    flow = members.T @ (weights.double() * probabilities.double())
    mean = members.T @ weights.double()
    q = torch.where(mean > 0, flow / mean, 0.0)
    rates = {s: float(flow[s].sum()) for s in present}
    first, second = max(present, key=rates.__getitem__), min(present, key=rates.__getitem__)
    if first == second:
        first, second = present[:2]
    # An expert that one group never gets has no rate there: the other group's rate makes its part pure routing.
    q_first = torch.where(mean[first] > 0, q[first], q[second])
    q_second = torch.where(mean[second] > 0, q[second], q[first])
    return GapParts(
        first=first,
        second=second,
        total=rates[first] - rates[second],
        routing=float(((mean[first] - mean[second]) * (q_first + q_second)).sum() / 2),
        within=float(((q_first - q_second) * (mean[first] + mean[second])).sum() / 2),
    )


@dataclass(frozen=True)
class Specialisation:
    """How the experts are used.

    Attributes
    ----------
    effective_experts : float
        exp(H(mean weights)), in [1, m]: how many experts are in use overall.
    row_experts : float
        exp(mean of H(weights of a row)), in [1, m]: how many share a row.
    disagreement : float
        Mean over rows and pairs of experts of |p_j - p_k|.
    """

    effective_experts: float
    row_experts: float
    disagreement: float


def _entropy(weights: Tensor) -> Tensor:
    return -torch.xlogy(weights, weights).sum(-1)


def specialisation(weights: Tensor, probabilities: Tensor) -> Specialisation:
    """Use of the experts from weights and probabilities [n, m]."""
    values = weights.double()
    pairs = [
        (probabilities[:, j] - probabilities[:, k]).abs().mean()
        for j, k in combinations(range(probabilities.shape[-1]), 2)
    ]
    return Specialisation(
        effective_experts=float(_entropy(values.mean(0)).exp()),
        row_experts=float(_entropy(values).mean().exp()),
        disagreement=float(torch.stack(pairs).mean()) if pairs else 0.0,
    )


@dataclass(frozen=True)
class OracleGap:
    """The gate between the plain average and the per-row oracle, in utility@1 (labels of the rows are needed).

    ``regret`` is oracle - gate; ``closed`` is (gate - uniform) / (oracle - uniform), nan when the oracle gains nothing.
    """

    gate: float
    uniform: float
    oracle: float

    @property
    def regret(self) -> float:
        """Utility that a perfect router would add."""
        return self.oracle - self.gate

    @property
    def closed(self) -> float:
        """Share of the oracle's gain over the plain average that the gate reaches."""
        room = self.oracle - self.uniform
        return (self.gate - self.uniform) / room if room > 0 else math.nan


def oracle_gap(weights: Tensor, logits: Tensor, labels: Tensor, groups: Tensor, n_groups: int) -> OracleGap:
    """Compare gate, uniform average and oracle on rows with labels; [n, m] weights and expert logits."""
    uniform = torch.full_like(logits, 1 / logits.shape[-1])
    oracle = OracleGate(labels).weights(GateState(logits[:, :0], logits))
    margins = torch.stack([mixture_margin(w, logits) for w in (weights, uniform, oracle)])
    values = point_values(torch.sigmoid(margins), labels, groups, n_groups, metrics=("utility@1",))["utility@1"]
    return OracleGap(*values.tolist())


@dataclass(frozen=True)
class RoutingFlip:
    """What happens to the routing of a row when its sensitive columns are set to those of another group.

    ``tv`` is the mean, over rows and other groups, of the total variation between the two weight vectors;
    ``top1`` the share of (row, other group) pairs whose largest-weight expert changes.
    """

    tv: float
    top1: float


def routing_flip(mixture: Routed, view: TaskView, rows: Tensor) -> RoutingFlip | None:
    """Counterfactual stability of the routing; None when the sensitive columns are not features."""
    if view.flip is None:
        return None
    here = mixture.weights(view, rows)
    distances, changes, count = 0.0, 0.0, 0
    for group in range(len(view.flip.values)):
        others = view.groups[rows] != group
        there = mixture.weights(view.moved_to(group), rows)[others]
        distances += float((there - here[others]).abs().sum()) / 2
        changes += float((there.argmax(-1) != here[others].argmax(-1)).sum())
        count += int(others.sum())
    return RoutingFlip(distances / count, changes / count) if count else None


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


def _known(estimate: float, reason: str, null_p95: float = math.nan) -> Value:
    return Value.not_estimable(reason) if math.isnan(estimate) else Value(estimate, null_p95=null_p95)


def _disparity_values(disparity: RoutingDisparity) -> dict[str, Value]:
    return {
        "routing_jsd@1": _known(disparity.jsd, _ONE_GROUP, disparity.null_p95),
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
