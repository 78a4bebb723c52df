"""The result role: equal outcomes for groups, in the hidden layer and in the predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from experts.batches import Batch
from experts.objectives.objective import Forward
from metrics.rates import gap

SHARPNESS = 5.0
"""Factor on the margin of the sharpened probability, which stands in for the hard prediction."""


class ResultObjective:
    """``lambda_rep`` · representation distance + ``lambda_fair`` · ½ (soft DP gap + soft EO gap).

    The soft gaps are the metric's definition (largest minus smallest group rate) on probabilities. Mean
    probabilities can agree while hard decisions do not, and hard decisions have no gradient; so each gap is the
    mean of two, one on σ(margin) and one on the sharpened σ(5 · margin).
    """

    lambdas: ClassVar[tuple[str, ...]] = ("lambda_rep", "lambda_fair")

    def __init__(self, lambdas: Mapping[str, Tensor]) -> None:
        self._rep = lambdas["lambda_rep"]
        self._fair = lambdas["lambda_fair"]

    def penalty(self, forward: Forward) -> Tensor:
        """[K] weighted sum of the two terms."""
        fair = self._fair[forward.lanes] * soft_gaps(forward.margins, forward.batch)
        return fair + self._rep[forward.lanes] * representation_distance(forward.first, forward.batch)

    def after_step(self) -> None:
        """Nothing to update."""

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self._rep, self._fair = self._rep[lanes], self._fair[lanes]


def soft_gaps(margins: Tensor, batch: Batch) -> Tensor:
    """[K] ½ (DP gap + EO gap), each the mean of its plain and its sharpened form; differentiable in margins [K, n].

    A gap that the batch cannot give (fewer than two groups with such rows) counts 0.
    """
    probabilities = torch.stack([torch.sigmoid(margins), torch.sigmoid(SHARPNESS * margins)])
    return gap(soft_rates(probabilities, batch)).nan_to_num(nan=0.0).mean((0, 2))


def soft_rates(probabilities: Tensor, batch: Batch) -> Tensor:
    """[..., K, 2, g] soft selection and true positive rates of probabilities [..., K, n]; nan for an empty group."""
    if batch.weights is None:
        rates = probabilities @ batch.rates
    else:
        totals = torch.where(batch.known_rates, batch.weights @ batch.rates, 1.0)
        rates = (probabilities * batch.weights) @ batch.rates / totals
    return torch.where(batch.known_rates, rates, torch.nan).view(*rates.shape[:-1], 2, batch.n_groups)


def representation_distance(first: Tensor, batch: Batch) -> Tensor:
    """[K] largest mean squared difference of two groups' mean hidden pre-activations.

    The mean over a group of W1 x + b1 is W1 times the group's mean row, so no hidden layer is computed. Mean over
    the hidden units, maximum over pairs of groups that the batch holds (0 if there is no pair).
    """
    centres = first @ batch.group_means.mT  # [K, h, g]
    known = batch.known_rates[..., : batch.n_groups]
    a, b = torch.triu_indices(batch.n_groups, batch.n_groups, offset=1)
    distance = (centres[..., a] - centres[..., b]).square().mean(1)
    return (distance * (known[..., a] & known[..., b])).amax(-1)
