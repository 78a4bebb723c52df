"""Who is sent to which expert: the table of routing, by group and expert.

With gate weights g_k(x), m_sk = E[g_k | group s] and q_sk = E[g_k p_k | s] / m_sk (the weighted mean probability that
expert k gives to group s).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from moe.routing.membership import membership


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
    members = membership(groups, len(group_names))
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
