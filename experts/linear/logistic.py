"""Logistic regression with an L2 penalty, row weights, and optionally soft group gaps in the loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from experts.soft_gap import soft_gap

STEPS, TOLERANCE = 100, 1e-6
"""Most iterations, and the largest entry of the gradient at which they end."""


@dataclass(frozen=True)
class LogisticLoss:
    """Mean weighted log loss + ‖w‖² / (2 C n) + λ · soft gap of n rows.

    The soft gap is :func:`metrics.surrogates.soft_gaps`, as in the result role of networks. The bias is not penalised.

    Attributes
    ----------
    features : [n, d+1] float64
        With a last column of ones.
    labels : [n] float64 in {0, 1}
    weights : [n] float64
        Of the rows; they sum to n.
    C : float
        Inverse strength of the penalty, as in scikit-learn.
    rates : [n, 2·g] float64
        As :func:`metrics.surrogates.rate_weights` gives them.
    strength : float
        λ.
    """

    features: Tensor
    labels: Tensor
    weights: Tensor
    C: float
    rates: Tensor | None = None
    strength: float = 0.0

    def of(self, theta: Tensor) -> tuple[float, Tensor]:
        """The loss, and its gradient [d+1] in weights and bias ``theta`` [d+1]."""
        n = len(self.labels)
        margins = self.features @ theta
        loss = (self.weights * (torch.nn.functional.softplus(margins) - self.labels * margins)).sum() / n
        slope = self.weights * (torch.sigmoid(margins) - self.labels) / n
        if self.rates is not None and self.strength > 0:
            gap, through = soft_gap(margins.numpy(), self.rates.numpy())
            loss, slope = loss + self.strength * gap, slope + self.strength * torch.from_numpy(through)
        shrunk = theta.clone()
        shrunk[-1] = 0
        total = loss + shrunk.square().sum() / (2 * self.C * n)
        return float(total), self.features.mT @ slope + shrunk / (self.C * n)

    def scales(self) -> tuple[Tensor, Tensor]:
        """Coordinates in which the loss is about equally curved in all directions: [d+1, d+1] and what it takes back.

        The curvature of the log loss is at most XᵀX/4n; its eigenvectors, divided by the square roots of curvature and
        penalty, are the new axes.
        """
        n = len(self.labels)
        share = float((self.weights * self.labels).sum()) / n
        curvature = (self.features * self.weights[:, None]).mT @ self.features * (share * (1 - share) / n)
        curvature.diagonal()[:-1].add_(1 / (self.C * n))
        values, axes = torch.linalg.eigh(curvature)
        root = values.clamp_min(values[-1] * 1e-12).sqrt()
        return axes / root, (axes * root).mT


def fit_logistic(loss: LogisticLoss, start: Tensor | None = None) -> Tensor:
    """[d+1] float64 weights and bias of smallest loss; a local minimum where λ > 0.

    Quasi-Newton steps (L-BFGS) in the coordinates of :meth:`LogisticLoss.scales`, from ``start`` or the best constant.
    """
    forth, back = loss.scales()
    if start is None:
        share = ((loss.weights * loss.labels).sum() / len(loss.labels)).clamp(1e-9, 1 - 1e-9)
        start = torch.zeros(loss.features.shape[1], dtype=torch.float64)
        start[-1] = torch.logit(share)

    def scaled(point: Tensor) -> tuple[float, Tensor]:
        value, gradient = loss.of(forth @ point)
        return value, forth.mT @ gradient

    return forth @ minimise(scaled, back @ start)


def minimise(function: Callable[[Tensor], tuple[float, Tensor]], start: Tensor) -> Tensor:
    """[p] float64 where a function is smallest, by SciPy's L-BFGS from ``start`` [p].

    Points are copied into torch's memory, which begins at multiples of 64 bytes: the last bit of a matrix times a
    vector may depend on where the vector lies, and NumPy's memory lies at another place in every process.
    """
    from scipy.optimize import minimize

    def at(point: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        value, gradient = function(torch.from_numpy(point).clone())
        return value, gradient.numpy()

    options = {"maxiter": STEPS, "gtol": TOLERANCE, "ftol": 1e-12, "maxcor": 20}
    search: Any = minimize
    return torch.from_numpy(search(at, start.numpy(), jac=True, method="L-BFGS-B", options=options).x).clone()
