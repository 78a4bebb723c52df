"""Adam for lanes: one set of flat tensors, a learning rate and a weight decay per lane."""

from __future__ import annotations

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8


def clip_lanes(gradient: Tensor, largest: float) -> Tensor:
    """Scale each lane's gradient [K, P] in place to a Euclidean norm of at most ``largest``."""
    norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    return gradient.mul_((largest / (norm + 1e-6)).clamp_(max=1.0))


class LaneAdam:
    """Adam (Kingma & Ba 2015) on [K, P], with L2 weight decay added to the gradient as ``torch.optim.Adam`` does.

    Parameters
    ----------
    theta : [K, P] float32
        Changed in place by :meth:`step`.
    lr, weight_decay : [K] float32

    Attributes
    ----------
    steps : int
        Steps taken.
    """

    def __init__(self, theta: Tensor, lr: Tensor, weight_decay: Tensor) -> None:
        self.theta = theta
        self._lr = lr[:, None]
        self._decay = weight_decay[:, None]
        self._mean = torch.zeros_like(theta)
        self._square = torch.zeros_like(theta)
        self.steps = 0

    def set_rates(self, lr: Tensor) -> None:
        """Other learning rates [K] from the next step on."""
        self._lr = lr[:, None]

    def step(self, gradient: Tensor, factor: float = 1.0) -> None:
        """One step along a gradient [K, P], which is overwritten; ``factor`` on all learning rates (a schedule)."""
        self.steps += 1
        first, second = BETAS
        gradient.addcmul_(self.theta, self._decay)
        self._mean.lerp_(gradient, 1 - first)
        self._square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        scale = (1 - second**self.steps) ** 0.5
        rate = self._lr * (factor * scale / (1 - first**self.steps))
        denominator = self._square.sqrt().add_(EPSILON * scale)
        self.theta.sub_(torch.div(self._mean, denominator, out=denominator).mul_(rate))

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Running means [K, P] of the gradient and of its square."""
        return self._mean, self._square

    @property
    def rates(self) -> tuple[Tensor, Tensor]:
        """Learning rate and weight decay [K]."""
        return self._lr[:, 0].contiguous(), self._decay[:, 0].contiguous()

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        for name in ("theta", "_lr", "_decay", "_mean", "_square"):
            setattr(self, name, getattr(self, name)[lanes].clone())
