"""The procedural role: equal reasons for groups, and a hidden layer that does not tell the group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from experts.networks.batches import Batch
from experts.networks.group_profiles import ProfileRows, group_profiles, indicator_or_none
from experts.networks.lanes import head, hidden
from experts.networks.objectives.adversary import Adversary
from experts.networks.objectives.objective import Forward
from metrics.surrogates import group_targets, profile_divergence


class ProceduralObjective:
    """``lambda_attention`` · attribution divergence + ``lambda_adv`` · ½ (adversary on hidden + on probability).

    Both terms are computed without dropout on the batch's stratified sample. The attribution divergence is the
    metric ATT_JSD on exact integrated gradients by source column.

    Parameters
    ----------
    lambdas : mapping of str to [K]
    owner : [d] int64
        Source column of each feature.
    n_columns, hidden_units, n_groups : int
    seeds : sequence of int
        Seeds of the lanes' adversaries.
    """

    lambdas: ClassVar[tuple[str, ...]] = ("lambda_attention", "lambda_adv")

    def __init__(
        self,
        lambdas: Mapping[str, Tensor],
        owner: Tensor,
        n_columns: int,
        hidden_units: int,
        n_groups: int,
        seeds: Sequence[int],
    ) -> None:
        self._attention = lambdas["lambda_attention"]
        self._adv = lambdas["lambda_adv"]
        self._indicator = indicator_or_none(owner, n_columns)
        self._of_hidden = Adversary(hidden_units, max(4, hidden_units // 2), n_groups, seeds, "hidden")
        self._of_probability = Adversary(1, 8, n_groups, seeds, "probability")

    def penalty(self, forward: Forward) -> Tensor:
        """[K] weighted sum of the terms; the adversaries' own loss enters with weight 1 and a reversed gradient."""
        sample = forward.batch.sample
        explain = self._of_rows if sample.around is None else self._of_neighbourhoods
        own, margins, profiles = explain(forward, sample)
        divergence = profile_divergence(profiles.mT, sample.known_rates[..., : sample.n_groups])
        adversaries = self._adversaries(own, torch.sigmoid(margins)[:, None], sample, forward.lanes)
        return self._attention[forward.lanes] * divergence + adversaries

    def _of_rows(self, forward: Forward, sample: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Pre-activations [K, h, n], margins [K, n] and sums of the groups' attribution profiles [K, c, g]."""
        pre_activations = hidden(forward.first, sample.rows)
        rows = ProfileRows(sample.transposed, sample.members, sample.weights, self._indicator)
        profiles = group_profiles(pre_activations, forward.first, forward.second, rows)
        return pre_activations, head(pre_activations, forward.second, forward.offset), profiles

    def _of_neighbourhoods(self, forward: Forward, sample: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The same with a second graph layer; the pre-activations are the rows' own, of the first layer."""
        assert sample.around is not None
        parts = (forward.first, forward.second, forward.offset)
        return sample.around.explain(parts, sample.members, sample.weights, self._indicator)

    def _adversaries(self, pre_activations: Tensor, probability: Tensor, sample: Batch, lanes: slice) -> Tensor:
        others = (self._adv[lanes] / 2, group_targets(sample.groups, sample.n_groups), sample.relative_weights, lanes)
        of_hidden = self._of_hidden.reversed_loss(pre_activations, *others)
        return of_hidden + self._of_probability.reversed_loss(probability, *others)

    def after_step(self) -> None:
        """Update the adversaries."""
        self._of_hidden.step()
        self._of_probability.step()

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self._attention, self._adv = self._attention[lanes], self._adv[lanes]
        self._of_hidden.select(lanes)
        self._of_probability.select(lanes)
