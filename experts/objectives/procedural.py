"""The procedural role: equal reasons for groups, and a hidden layer that does not tell the group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from experts.batches import Batch
from experts.integrated_gradients import attributions_of, by_column
from experts.lanes import head, hidden
from experts.objectives.adversary import Adversary, reverse
from experts.objectives.objective import Forward


class ProceduralObjective:
    """``lambda_attention`` · attribution divergence + ``lambda_adv`` · ½ (adversary on hidden + on probability).

    Both terms are computed without dropout on the batch's stratified sample. The attribution divergence is the
    metric ATT_JSD on exact integrated gradients by source column.

    Parameters
    ----------
    lambdas : mapping of str to [K]
    indicator : [d, c]
        Which source column a feature belongs to.
    hidden_units, n_groups : int
    seeds : sequence of int
        Seeds of the lanes' adversaries.
    """

    lambdas: ClassVar[tuple[str, ...]] = ("lambda_attention", "lambda_adv")

    def __init__(
        self, lambdas: Mapping[str, Tensor], indicator: Tensor, hidden_units: int, n_groups: int, seeds: Sequence[int]
    ) -> None:
        self._attention = lambdas["lambda_attention"]
        self._adv = lambdas["lambda_adv"]
        self._indicator = indicator
        self._of_hidden = Adversary(hidden_units, max(4, hidden_units // 2), n_groups, seeds, "hidden")
        self._of_probability = Adversary(1, 8, n_groups, seeds, "probability")

    def penalty(self, forward: Forward) -> Tensor:
        """[K] weighted sum of the terms; the adversaries' own loss enters with weight 1 and a reversed gradient."""
        sample = forward.batch.sample
        pre_activations = hidden(forward.first, sample.rows)
        attributions = attributions_of(pre_activations, forward.first, forward.second, sample.rows)
        divergence = attribution_divergence(by_column(attributions, self._indicator), sample)
        probability = torch.sigmoid(head(pre_activations, forward.second, forward.offset))
        adversaries = self._adversaries(pre_activations, probability[:, None], sample, forward.lanes)
        return self._attention[forward.lanes] * divergence + adversaries

    def _adversaries(self, pre_activations: Tensor, probability: Tensor, sample: Batch, lanes: slice) -> Tensor:
        weight = self._adv[lanes] / 2
        weights = sample.relative_weights
        of_hidden = self._of_hidden.losses(reverse(pre_activations, weight), sample.groups, weights, lanes)
        return of_hidden + self._of_probability.losses(reverse(probability, weight), sample.groups, weights, lanes)

    def after_step(self) -> None:
        """Update the adversaries."""
        self._of_hidden.step()
        self._of_probability.step()

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self._attention, self._adv = self._attention[lanes], self._adv[lanes]
        self._of_hidden.select(lanes)
        self._of_probability.select(lanes)


def attribution_divergence(attributions: Tensor, batch: Batch) -> Tensor:
    """[K] Jensen-Shannon divergence (base 2, in [0, 1]) of the groups' mean attribution profiles.

    A row's profile is |attribution| over its sum; a group's profile is the mean of its rows'. For more than two
    groups the largest divergence of a pair counts; groups without rows are left out.

    Parameters
    ----------
    attributions : [K, n, c]
    batch : Batch
        The n rows.
    """
    size = attributions.abs()
    profiles = size / (size.sum(-1, keepdim=True) + 1e-8)
    known = batch.known_rates[..., : batch.n_groups]
    if batch.weights is None:
        means = batch.members.mT @ profiles
    else:
        means = torch.einsum("kn,ng,knc->kgc", batch.weights, batch.members, profiles)
    means = means.clamp_min(1e-8)
    means = means / means.sum(-1, keepdim=True)
    a, b = torch.triu_indices(batch.n_groups, batch.n_groups, offset=1)
    return (jensen_shannon(means[:, a], means[:, b]) * (known[..., a] & known[..., b])).amax(-1)


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """[...] Jensen-Shannon divergence, base 2, of distributions [..., c] with positive entries."""
    middle = ((p + q) / 2).log2()
    return ((p * (p.log2() - middle)).sum(-1) + (q * (q.log2() - middle)).sum(-1)) / 2
