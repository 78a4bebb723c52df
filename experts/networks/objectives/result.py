"""The result role: equal outcomes for groups, in the hidden layer and in the predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from experts.networks.batches import Batch
from experts.networks.objectives.objective import Forward
from metrics.surrogates import centre_distance, soft_gaps


class ResultObjective:
    """``lambda_rep`` · representation distance + ``lambda_fair`` · ½ (soft DP gap + soft EO gap).

    The soft gaps are those of :func:`metrics.surrogates.soft_gaps`.

    Attributes
    ----------
    rep, fair : [K] float32
        The two weights of the running lanes.
    """

    lambdas: ClassVar[tuple[str, ...]] = ("lambda_rep", "lambda_fair")

    def __init__(self, lambdas: Mapping[str, Tensor]) -> None:
        self.rep = lambdas["lambda_rep"]
        self.fair = lambdas["lambda_fair"]

    def penalty(self, forward: Forward) -> Tensor:
        """[K] weighted sum of the two terms."""
        batch = forward.batch
        fair = self.fair[forward.lanes] * soft_gaps(forward.margins, batch.rates, batch.known_rates, batch.weights)
        return fair + self.rep[forward.lanes] * representation_distance(forward.first, forward.batch)

    def after_step(self) -> None:
        """Nothing to update."""

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self.rep, self.fair = self.rep[lanes], self.fair[lanes]


def representation_distance(first: Tensor, batch: Batch) -> Tensor:
    """[K] largest mean squared difference of two groups' mean hidden pre-activations.

    The mean over a group of W1 x + b1 is W1 times the group's mean row, so no hidden layer is computed. The rows of
    graph experts are propagated ones, and of two layers it is the first whose distance is taken. Mean over the hidden
    units, maximum over pairs of groups that the batch holds (0 if there is no pair).
    """
    centres = first @ batch.group_means.mT  # [K, h, g]
    return centre_distance(centres, batch.known_rates[..., : batch.n_groups])
