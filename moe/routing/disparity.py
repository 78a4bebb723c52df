"""How differently groups are routed, with its permutation null."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from foundation.seeding import torch_generator
from gates.objective import pairwise_jsd
from moe.routing.membership import membership


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
    null_mean, null_sd : float
        Mean and standard deviation of ``jsd`` then.
    p_value : float
        (1 + shuffles with at least the observed ``jsd``) / (1 + shuffles).
    """

    jsd: float
    tv: float
    top1_tv: float
    null_p95: float
    null_mean: float
    null_sd: float
    p_value: float


def _profiles(values: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """[g', m] mean of values [n, m] in each group present."""
    means = membership(groups, n_groups).T @ values
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
        return RoutingDisparity(*(math.nan,) * 7)
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
        null_mean=float(null.mean()),
        null_sd=float(null.std(correction=0)),
        p_value=(1 + int((null >= observed - 1e-15).sum())) / (1 + shuffles),
    )
