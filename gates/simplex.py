"""The static weights of the smallest log loss, for any number of experts: a convex problem, solved to its optimum."""

# SciPy is not annotated.
# mypy: disable-error-code="attr-defined"

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import nnls
from torch import Tensor

from gates.candidates import GateFit
from gates.definition import GateDefinition
from gates.log_loss import true_probabilities
from gates.problem import GateProblem
from gates.static import SimplexWeights, as_point, static_fit

Doubles = npt.NDArray[np.float64]

TOLERANCE = 1e-7
"""The log loss is within this much of the optimum."""
_RIDGE = 1e-10  # on the Hessian, which is singular where experts agree


class SimplexError(ValueError):
    """The optimum was not reached."""


@dataclass(frozen=True, eq=False)
class SimplexGate(SimplexWeights):
    """Weights of the smallest log loss."""

    name: ClassVar[str] = "simplex"


def simplex_weights(probability: Tensor, tolerance: float = TOLERANCE, rounds: int = 100) -> Tensor:
    """[m] float64 weights w on the simplex that minimise −mean log(P w).

    With the scale free, −mean log(P w) + Σw over w ≥ 0 has its optimum on the simplex, so every step is a
    non-negative least-squares problem (mix-SQP: Kim, Carbonetto, Stephens, Anitescu, JCGS 2020). It ends when
    log max_k mean(p_k / P w), which bounds the distance from the optimal loss, is at most ``tolerance``.

    Parameters
    ----------
    probability : [n, m]
        Of the true labels, all > 0.
    tolerance : float
    rounds : int

    Raises
    ------
    SimplexError
        If ``rounds`` do not reach the tolerance.
    """
    table = probability.double().numpy()
    weights = np.full(table.shape[1], 1 / table.shape[1])
    for _ in range(rounds):
        ratios = table / (table @ weights)[:, None]
        slope = ratios.mean(0)
        if np.log(slope.max()) <= tolerance:
            return torch.from_numpy(weights).clone()  # in torch's memory: see experts.linear.logistic.minimise
        weights = _searched(table, weights, _newton_point(ratios, slope))
    raise SimplexError(f"weights of {table.shape[1]} experts did not reach their optimum in {rounds} rounds")


def _newton_point(ratios: Doubles, slope: Doubles) -> Doubles:
    """[m] optimum over w ≥ 0 of the second-order model: ½ wᵀHw − (2·slope − 1)ᵀw with H = ratiosᵀratios / n."""
    hessian = ratios.T @ ratios / len(ratios)
    root = np.linalg.cholesky(hessian + _RIDGE * np.trace(hessian) * np.eye(len(hessian)))
    found: Doubles = nnls(root.T, np.linalg.solve(root, 2 * slope - 1), maxiter=100 * len(hessian))[0]
    return found


def _searched(table: Doubles, weights: Doubles, target: Doubles) -> Doubles:
    """[m] the point between weights and target, on the simplex, that first lowers the loss; halving."""
    before, share = _loss(table, weights), 1.0
    while share > 1e-12:
        moved = weights + share * (target - weights)
        if moved.sum() > 0:
            on_simplex: Doubles = moved / moved.sum()
            if _loss(table, on_simplex) < before:
                return on_simplex
        share /= 2
    ascent: Doubles = weights * (table / (table @ weights)[:, None]).mean(0)  # a step of EM never raises the loss
    return ascent


def _loss(table: Doubles, weights: Doubles) -> float:
    with np.errstate(divide="ignore"):
        return float(-np.log(table @ weights).mean())


def fit(problem: GateProblem) -> GateFit:
    """Learns from all rows with outputs of experts that have not seen them."""
    return static_fit(problem, SimplexGate(as_point(simplex_weights(true_probabilities(problem.oof)))))


GATE = GateDefinition(
    label="Optimal static weights",
    about="one set of weights for all rows, of the smallest log loss",
    gate=SimplexGate,
    fit=fit,
    kind="static",
    method="simplex",
    pools=(),
    colour="sky",
    place=65,
)
