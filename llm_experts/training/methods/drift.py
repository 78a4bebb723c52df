"""How far a policy may drift from its reference: β follows the divergence, and what goes wrong ends the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from llm_experts.training.losses.policy import adapted_beta

KEYS = ("beta", "drift", "reward", "seen")


@dataclass(frozen=True)
class Bounds:
    """What β follows, and when training ends.

    Attributes
    ----------
    target : float or None
        Divergence in nats per answer above which β rises; None keeps β.
    most : float or None
        Divergence that ends training.
    least : float or None
        Mean reward below which training ends.
    every : int
        Steps over which both are averaged before anything follows from them.
    """

    target: float | None
    most: float | None
    least: float | None
    every: int


class Drift:
    """β of every lane, and what was measured since it last changed.

    Attributes
    ----------
    beta : [K]
        Weight of the divergence.
    """

    def __init__(self, beta: float, bounds: Bounds) -> None:
        self._first, self._bounds = beta, bounds
        self.beta = torch.zeros(0)

    def start(self, lanes: int, device: torch.device) -> None:
        """Begin with ``lanes`` lanes."""
        self.beta = torch.full((lanes,), self._first, device=device)
        self._forget()

    def _forget(self) -> None:
        self._drift, self._reward = torch.zeros_like(self.beta), torch.zeros_like(self.beta)
        self._seen = torch.zeros_like(self.beta)

    def after_step(self, drift: Tensor, reward: Tensor) -> list[str]:
        """Take a step's mean divergence and reward [K] in; by lane the reason to stop, "" to go on."""
        self._drift, self._reward, self._seen = self._drift + drift, self._reward + reward, self._seen + 1
        count = int(self._seen.max()) if len(self._seen) else 0
        if count < self._bounds.every:
            return [""] * len(drift)
        drifted, earned = self._drift / count, self._reward / count
        if self._bounds.target is not None:
            self.beta = adapted_beta(self.beta, drifted, self._bounds.target)
        self._forget()
        return [self._reason(*pair, count) for pair in zip(drifted.tolist(), earned.tolist(), strict=True)]

    def _reason(self, drift: float, reward: float, count: int) -> str:
        most, least = self._bounds.most, self._bounds.least
        if most is not None and not drift <= most:
            return (
                f"the divergence from the reference was {drift:.3g} nats an answer over the last {count} steps, above "
                f"most_drift = {most:g}; raise beta, set target, or lower the learning rate"
            )
        if least is not None and not reward >= least:
            return f"the mean reward was {reward:.3g} over the last {count} steps, below least_reward = {least:g}"
        return ""

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self.beta, self._drift, self._reward, self._seen = (
            x[lanes] for x in (self.beta, self._drift, self._reward, self._seen)
        )

    def state(self) -> dict[str, Tensor]:
        """What it takes to go on exactly."""
        return dict(zip(KEYS, (self.beta, self._drift, self._reward, self._seen), strict=True))

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state`."""
        self.beta, self._drift, self._reward, self._seen = (state[key].to(self.beta.device) for key in KEYS)
