"""Stacking: a logistic regression on the experts' margins with coefficients that are not negative."""

# SciPy is not annotated.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor

from gates.candidates import GateFit
from gates.definition import GateDefinition
from gates.problem import GateProblem
from gates.static import SimplexWeights, as_point

LARGEST = 15.0
"""Margins are cut here: beyond it an expert that is sure and wrong on a row would decide the fit."""
RIDGE = 1e-3
"""Penalty on the squared distance of the coefficients from the plain mean of margins."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StackingGate(SimplexWeights):
    """Margin ``offset`` + ``scale`` · Σ_k w_k z_k: margins are composed, not probabilities.

    Attributes
    ----------
    simplex : [m]
        Weights w: shares of the coefficients.
    offset, scale : float
        ``scale`` ≥ 0, the sum of the coefficients.
    """

    name: ClassVar[str] = "stacking"
    offset: float = 0.0
    scale: float = 1.0

    def composed(self, weights: Tensor, logits: Tensor) -> Tensor:
        """[...] margin; see :class:`gates.gate.ComposingGate`."""
        return self.offset + self.scale * (weights * logits.clamp(-LARGEST, LARGEST)).sum(-1)


def stacking_coefficients(logits: Tensor, labels: Tensor, ridge: float = RIDGE) -> tuple[Tensor, float]:
    """[m] float64 coefficients a ≥ 0 and offset b that minimise mean log loss of b + Σ a_k z_k, plus the ridge.

    Parameters
    ----------
    logits : [n, m]
    labels : [n] int64 in {0, 1}
    ridge : float
    """
    margins = logits.double().clamp(-LARGEST, LARGEST).numpy()
    target, experts = labels.double().numpy(), margins.shape[1]
    centre = 1 / experts

    def loss(parameters: Doubles) -> tuple[float, Doubles]:
        total = parameters[0] + margins @ parameters[1:]
        error = (expit(total) - target) / len(target)
        distance = parameters[1:] - centre
        value = np.mean(np.logaddexp(0, total) - target * total) + ridge / 2 * distance @ distance
        return float(value), np.concatenate([[error.sum()], margins.T @ error + ridge * distance])

    start = np.concatenate([[0.0], np.full(experts, centre)])
    bounds = [(None, None)] + [(0.0, None)] * experts
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500, "ftol": 1e-12})
    return torch.from_numpy(found.x[1:]).clone(), float(found.x[0])


def fit(problem: GateProblem) -> GateFit:
    """Learns from all rows with outputs of experts that have not seen them."""
    outputs = problem.oof
    coefficients, offset = stacking_coefficients(outputs.state.logits, outputs.labels)
    scale = float(coefficients.sum())
    shares = coefficients if scale > 0 else torch.ones_like(coefficients)
    gate = StackingGate(as_point(shares), offset, scale)
    return GateFit(gate, None, problem.finish(gate, problem.score(gate)))


GATE = GateDefinition(
    label="Stacking",
    about="logistic regression on the experts' margins, no coefficient negative",
    gate=StackingGate,
    fit=fit,
    kind="static",
    method="stacking",
    pools=(),
    colour="sky",
    place=90,
)
