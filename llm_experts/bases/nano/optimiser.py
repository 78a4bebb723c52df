"""The optimiser of the pretraining: Muon for matrices, Adam for embeddings and norms.

Muon (Jordan et al., 2024): the momentum of a matrix is replaced by the nearest orthogonal matrix (five Newton–Schulz
steps), so that all directions learn at the same speed. Matrices of one shape are handled as one batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
MOMENTUM = 0.95
BETAS = (0.9, 0.98)
EPSILON = 1e-8
CLIP = 1.0
"""Largest norm of the gradient of what Adam trains."""


def orthogonalised(x: Tensor) -> Tensor:
    """[k, a, b] matrices with the singular vectors of ``x`` and singular values near 1."""
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Optimiser:
    """Changes parameters in place.

    Parameters
    ----------
    parameters : mapping of name to Tensor
        Matrices named ``…_proj.weight`` are Muon's, all others Adam's.
    matrix_rate, rate : float
        Largest learning rates of Muon and of Adam.
    slow : mapping of name to float
        Matrices that learn at a fraction of Muon's rate.
    """

    def __init__(
        self, parameters: Mapping[str, Tensor], matrix_rate: float, rate: float, slow: Mapping[str, float] | None = None
    ) -> None:
        self._rate, self._matrix_rate, self._slow = rate, matrix_rate, slow or {}
        self._matrices: dict[str, list[tuple[str, Tensor]]] = {}
        self._others: dict[str, Tensor] = {}
        for name, parameter in parameters.items():
            if name.endswith("_proj.weight"):
                shape = "x".join(map(str, parameter.shape))
                self._matrices.setdefault(shape, []).append((name, parameter))
            else:
                self._others[name] = parameter
        self.state: dict[str, Tensor] = {"count": torch.zeros((), dtype=torch.int64)}
        for shape, group in self._matrices.items():
            self.state[f"momentum.{shape}"] = torch.zeros(len(group), *group[0][1].shape)
        for name, parameter in self._others.items():
            self.state[f"first.{name}"] = torch.zeros_like(parameter)
            self.state[f"second.{name}"] = torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor], share: float) -> None:
        """One step with learning rates ``share`` times the largest."""
        self.state["count"] += 1
        for shape, group in self._matrices.items():
            self._turn(self.state[f"momentum.{shape}"], group, gradients, share)
        norm = torch.sqrt(sum((gradients[name].square().sum() for name in self._others), torch.zeros(())))
        clip = (CLIP / (norm + 1e-6)).clamp(max=1.0)
        for name, parameter in self._others.items():
            self._adapt(name, parameter, gradients[name] * clip, share)

    def _turn(
        self, momentum: Tensor, group: list[tuple[str, Tensor]], gradients: Mapping[str, Tensor], share: float
    ) -> None:
        gradient = torch.stack([gradients[name] for name, _ in group])
        momentum.mul_(MOMENTUM).add_(gradient)
        step = orthogonalised(gradient + MOMENTUM * momentum) * max(1.0, step_ratio(gradient)) ** 0.5
        for (name, parameter), change in zip(group, step, strict=True):
            rate = share * self._matrix_rate * self._slow.get(name, 1.0)
            parameter.mul_(1 - 0.01 * share * self._matrix_rate).add_(change, alpha=-rate)

    def _adapt(self, name: str, parameter: Tensor, gradient: Tensor, share: float) -> None:
        first, second, count = self.state[f"first.{name}"], self.state[f"second.{name}"], int(self.state["count"])
        rate = share * self._rate * self._slow.get(name, 1.0)
        first.lerp_(gradient, 1 - BETAS[0])
        second.lerp_(gradient.square(), 1 - BETAS[1])
        scale = (second / (1 - BETAS[1] ** count)).sqrt_().add_(EPSILON)
        parameter.addcdiv_(first, scale, value=-rate / (1 - BETAS[0] ** count))


def step_ratio(x: Tensor) -> float:
    """Rows over columns of matrices [k, a, b]: tall ones take longer steps."""
    return x.shape[-2] / x.shape[-1]
