"""A soft gap of the mixture split into its routing part and its within-expert part.

With gate weights g_k(x), m_sk = E[g_k | group s] and q_sk = E[g_k p_k | s] / m_sk (the weighted mean probability that
expert k gives to group s).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from moe.routing.membership import membership


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
    members = membership(groups, n_groups)
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
