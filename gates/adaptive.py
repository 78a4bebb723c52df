"""The default weights of a library: greedy selection, drawn to the families' mean as far as unseen rows ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gates.candidates import GateFit
from gates.definition import GateDefinition
from gates.greedy import greedy_weights
from gates.log_loss import point_losses, row_folds, true_probabilities
from gates.problem import GateProblem
from gates.static import SimplexWeights, as_point, static_fit

SHARES = (0.0, 0.15, 0.3, 0.5)
"""Of the families' mean in the weights; an equal mean drags weak families in where one family dominates."""
FOLDS = 3
FOLD_BAGS = 10
"""Bags of the greedy selection within the folds that choose the share."""


@dataclass(frozen=True, eq=False)
class AdaptiveGate(SimplexWeights):
    """Weights ``share`` · families' mean + (1 − ``share``) · greedy selection."""

    name: ClassVar[str] = "adaptive"
    share: float = 0.0


def adaptive_share(problem: GateProblem, probability: Tensor) -> float:
    """The share whose log loss on rows outside the selection is smallest (the smaller one in a tie).

    Parameters
    ----------
    problem : GateProblem
    probability : [n, m]
        Of the true labels on ``problem.oof``.
    """
    fold, even = row_folds(problem, FOLDS), problem.membership.mean(0)
    losses = torch.zeros(len(SHARES), dtype=torch.float64)
    for number in range(FOLDS):
        seen, unseen = probability[fold != number], probability[fold == number]
        greedy = greedy_weights(seen, problem.seed, FOLD_BAGS)
        for place, share in enumerate(SHARES):
            losses[place] += point_losses(share * even + (1 - share) * greedy, unseen).sum()
    return SHARES[int(losses.argmin())]


def fit(problem: GateProblem) -> GateFit:
    """Learns weights and share from all rows with outputs of experts that have not seen them."""
    probability = true_probabilities(problem.oof)
    share = adaptive_share(problem, probability)
    point = share * problem.membership.mean(0) + (1 - share) * greedy_weights(probability, problem.seed)
    return static_fit(problem, AdaptiveGate(as_point(point), share))


GATE = GateDefinition(
    label="Adaptive weights",
    about="greedy selection, drawn towards the families' mean as far as unseen rows ask for",
    gate=AdaptiveGate,
    fit=fit,
    kind="static",
    method="adaptive",
    pools=(),
    colour="sky",
    place=80,
)
