"""Differentiable stand-ins of the fixed metrics, one definition for networks and language models.

Losses of every family of experts come from here: soft group rates and their gaps, the divergence of the groups'
attribution profiles, and what an adversary is asked to guess.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from metrics.count_metrics.fair_res import METRIC as FAIR_RES
from metrics.counts.group_rates import GroupRates, StackedRates, rates_of_counts
from metrics.counts.metric import CountMetric
from metrics.counts.rates import Rate
from metrics.counts.tables import soft_counts

SHARPNESS = 5.0
"""Factor on the margin of the sharpened probability, which stands in for the hard prediction."""


def surrogate(metric: CountMetric, probability: Tensor, labels: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """[...] a metric of counts on soft counts, differentiable in probabilities [..., n]; at 0 and 1 it is the metric.

    What the rows cannot give (a gap of fewer than two groups with such rows) counts 0 and has no gradient.
    """

    @cache
    def soft() -> GroupRates:
        return rates_of_counts(soft_counts(probability, labels, groups, n_groups), least=1)

    def find(rate: Rate) -> Tensor:
        if not rate.is_linear:
            return soft()[rate]
        weights = rate.weights(labels, groups, n_groups).to(probability.dtype)
        return (probability @ weights).masked_fill(weights.sum(0) == 0, torch.nan)

    return metric.statistic.value(GroupRates(find, lambda rate: soft().overall(rate), missing=0.0))


def rate_weights(labels: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """[n, 2·g]: ``Rate.weights`` of the rates of ``fair_res@1``: selection rate, then true positive rate."""
    return torch.cat([rate.weights(labels, groups, n_groups) for rate in FAIR_RES.statistic.rates], dim=1)


def known_rates(rates: Tensor, weights: Tensor | None) -> Tensor:
    """[2·g] or, with row weights [K, n], [K, 2·g] bool: whether the group has rows that the rate speaks of."""
    totals = rates.sum(0) if weights is None else weights @ rates
    return totals > 0


def relative_weights(weights: Tensor | None) -> Tensor | None:
    """[K, n] weights that sum to 1 in each lane (all 0 if a lane has no row here); None: all 1/n."""
    if weights is None:
        return None
    return weights / weights.sum(1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)


def soft_rates(probabilities: Tensor, rates: Tensor, known: Tensor, weights: Tensor | None = None) -> Tensor:
    """[..., K, 2, g] soft selection and true positive rates of probabilities [..., K, n]; nan for an empty group.

    Parameters
    ----------
    probabilities : [..., K, n]
    rates : [n, 2·g]
        As :func:`rate_weights` gives them.
    known : [2·g] or [K, 2·g] bool
        As :func:`known_rates` gives them.
    weights : [K, n], optional
        Row weights of each lane.
    """
    if weights is None:
        values = probabilities @ rates
    else:
        totals = torch.where(known, weights @ rates, 1.0)
        values = (probabilities * weights) @ rates / totals
    return torch.where(known, values, torch.nan).view(*values.shape[:-1], 2, rates.shape[1] // 2)


def soft_gaps(margins: Tensor, rates: Tensor, known: Tensor, weights: Tensor | None = None) -> Tensor:
    """[K] ``fair_res@1``, the mean of its plain and its sharpened form; differentiable in margins [K, n].

    It is the metric's definition on probabilities, for many lanes by one product. Mean probabilities can
    agree while hard decisions do not, and hard decisions have no gradient; so it is the mean of two, one on
    σ(margin) and one on the sharpened σ(5 · margin). A gap that the rows cannot give (fewer than two groups with such
    rows) counts 0. Other parameters as in :func:`soft_rates`.
    """
    probabilities = torch.stack([torch.sigmoid(margins), torch.sigmoid(SHARPNESS * margins)])
    soft = StackedRates(FAIR_RES.statistic.rates, soft_rates(probabilities, rates, known, weights), missing=0.0)
    return FAIR_RES.statistic.value(soft).mean(0)


def centre_distance(centres: Tensor, known: Tensor) -> Tensor:
    """[K] largest mean squared difference of two groups' centres [K, h, g]; 0 without a pair of ``known`` groups."""
    groups = centres.shape[-1]
    a, b = torch.triu_indices(groups, groups, offset=1)
    distance = (centres[..., a] - centres[..., b]).square().mean(1)
    return (distance * (known[..., a] & known[..., b])).amax(-1)


def profile_divergence(sums: Tensor, known: Tensor) -> Tensor:
    """[K] largest Jensen-Shannon divergence (base 2, in [0, 1]) of two groups' mean attribution profiles.

    Parameters
    ----------
    sums : [K, g, c]
        Sums over a group's rows of |attribution| / Σ|attribution|; only their proportions matter.
    known : [g] or [K, g] bool
        Groups that have rows; pairs with another one count 0.
    """
    sums = sums.clamp_min(1e-8)
    means = sums / sums.sum(-1, keepdim=True)
    groups = means.shape[1]
    a, b = torch.triu_indices(groups, groups, offset=1)
    return (jensen_shannon(means[:, a], means[:, b]) * (known[..., a] & known[..., b])).amax(-1)


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """[...] Jensen-Shannon divergence, base 2, of distributions [..., c] with positive entries."""
    middle = ((p + q) / 2).log2()
    return ((p * (p.log2() - middle)).sum(-1) + (q * (q.log2() - middle)).sum(-1)) / 2


def group_targets(groups: Tensor, n_groups: int) -> Tensor:
    """[o, n] float32 that an adversary guesses: membership of each group; for two groups one row is enough."""
    if n_groups == 2:
        return groups[None].to(torch.float32)
    return torch.nn.functional.one_hot(groups, n_groups).T.to(torch.float32)
