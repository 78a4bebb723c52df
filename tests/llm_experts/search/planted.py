"""Mixture models whose best weights are known."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from llm_experts.search import SearchRows

BEST = torch.tensor([0.6, 0.3, 0.2], dtype=torch.float64)


@dataclass
class Planted:
    """Margins that are quadratic in α: strongest at ``best``; ``bias`` pushes the groups apart, less so with α_1.

    margin_i = sign_i · (2 − 3‖α − best‖²) + bias · (1 − turn·α_1) · (group_i − ½) + noise_i
    """

    n: int = 240
    seed: int = 0
    bias: float = 0.0
    noise: float = 1.3
    wave: float = 0.0
    turn: float = 1.5
    best: Tensor = field(default_factory=lambda: BEST)
    names: tuple[str, ...] = ("utility", "result", "procedural")
    passes: int = 0
    stop_after: int | None = None

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        labels = (torch.rand(self.n, generator=generator) < 0.4).long()
        groups = (torch.rand(self.n, generator=generator) < 0.5).long()
        self.rows = SearchRows(labels, groups, ("a", "b"))
        self.error = self.noise * torch.randn(self.n, generator=generator, dtype=torch.float64)
        made_of = (self.n, self.seed, self.bias, self.noise, self.turn, self.wave, self.best.tolist())
        self.hash = f"planted {made_of}"

    def _margins(self, alphas: Tensor, groups: Tensor) -> Tensor:
        skill = 2 - 3 * (alphas - self.best).square().sum(1) + self.wave * torch.sin(6 * alphas).sum(1)
        push = self.bias * (1 - self.turn * alphas[:, min(1, alphas.shape[1] - 1)])
        sign = (2 * self.rows.labels - 1).double()
        return skill[:, None] * sign + push[:, None] * (groups - 0.5) + self.error

    def margins(self, alphas: Tensor) -> Tensor:
        if self.stop_after is not None and self.passes >= self.stop_after:
            raise KeyboardInterrupt
        self.passes += len(alphas)
        return self._margins(alphas, self.rows.groups.double())


class Movable(Planted):
    def moved(self, alphas: Tensor) -> Tensor:
        return torch.stack([self._margins(alphas, torch.full((self.n,), float(k))) for k in range(2)], -1)


class Timed(Planted):
    def latency_ms(self, alphas: Tensor) -> Tensor:
        return 1.0 + 10.0 * (alphas != 0).sum(1) + alphas.sum(1)


class Identical(Planted):
    """Experts that are all the base."""

    def _margins(self, alphas: Tensor, groups: Tensor) -> Tensor:
        return super()._margins(torch.zeros_like(alphas), groups)
