"""Optimisers of lanes: AdamW on flat weights, and bitsandbytes' with states of 8 bits."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from experts.networks.adam import LaneAdam
from llm_experts.training.loop.settings import Settings, SettingsError


class LaneOptimiser(Protocol):
    """Changes ``theta`` [K, P] in place."""

    theta: Tensor

    def step(self, gradient: Tensor, factors: Tensor) -> None:
        """One step along gradients [K, P]; ``factors`` [K] on the lanes' learning rates."""

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""

    def state(self) -> dict[str, Tensor]:
        """What it takes to go on exactly, beside the weights."""

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from there."""


class LaneAdamW:
    """AdamW (Loshchilov & Hutter, 2019): :class:`LaneAdam`, and a decay of its own towards ``anchor``.

    Parameters
    ----------
    theta, anchor : [K, P] float32
    lr, decay : [K] float32
    """

    def __init__(self, theta: Tensor, anchor: Tensor, lr: Tensor, decay: Tensor) -> None:
        self.theta, self._anchor, self._lr, self._decay = theta, anchor, lr[:, None], decay[:, None]
        self._adam = LaneAdam(theta, torch.ones_like(lr), torch.zeros_like(decay))

    def step(self, gradient: Tensor, factors: Tensor) -> None:
        """One step; the decay comes first, as in ``torch.optim.AdamW``."""
        rate = self._lr * factors[:, None]
        if bool((self._decay > 0).any()):
            self.theta.sub_((self.theta - self._anchor) * (rate * self._decay))
        self._adam.set_rates(rate[:, 0])
        self._adam.step(gradient)

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self._adam.select(lanes)
        self.theta = self._adam.theta
        self._anchor, self._lr, self._decay = self._anchor[lanes], self._lr[lanes], self._decay[lanes]

    def state(self) -> dict[str, Tensor]:
        """Moments [K, P] and the number of steps."""
        mean, square = self._adam.moments
        return {"mean": mean, "square": square, "steps": torch.tensor(self._adam.steps)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state`."""
        for held, given in zip(self._adam.moments, (state["mean"], state["square"]), strict=True):
            held.copy_(given)
        self._adam.steps = int(state["steps"])


class LaneEightBit:
    """AdamW of bitsandbytes with moments of 8 bits (Dettmers et al., 2022), one per lane; it decays towards ``anchor``.

    Blocks of 2,048 numbers share a scale, and a lane's blocks are its own: lanes together do what each would alone.
    Weights of fewer than 4,096 numbers keep moments of 32 bits, as bitsandbytes has it.

    Raises
    ------
    SettingsError
        If bitsandbytes is not installed or has no such optimiser here.
    """

    def __init__(self, theta: Tensor, anchor: Tensor, lr: Tensor, decay: Tensor, *, paged: bool) -> None:
        try:
            optim: Any = importlib.import_module("bitsandbytes.optim")
            make = optim.PagedAdamW8bit if paged else optim.AdamW8bit
        except (ImportError, AttributeError, RuntimeError, OSError) as error:
            raise SettingsError(
                f"The 8-bit optimisers need bitsandbytes, which does not load here ({error}). Install it, or "
                "train with the optimiser adamw."
            ) from error
        self.theta, self._anchor, self._lr, self._decay = theta, anchor, lr, decay
        self._weights = [nn.Parameter(row.clone()) for row in theta]
        self._each: list[Any] = [
            make([weight], lr=float(rate), weight_decay=0.0, betas=(0.9, 0.999), eps=1e-8)  # which would draw to 0
            for weight, rate in zip(self._weights, lr, strict=True)
        ]

    def step(self, gradient: Tensor, factors: Tensor) -> None:
        """One step of every lane; the decay comes first."""
        rates = self._lr * factors
        for lane, (weight, optimiser) in enumerate(zip(self._weights, self._each, strict=True)):
            optimiser.param_groups[0]["lr"] = float(rates[lane])
            if self._decay[lane] > 0:
                weight.data.sub_((weight.data - self._anchor[lane]) * (rates[lane] * self._decay[lane]))
            weight.grad = gradient[lane].clone()
            optimiser.step()
            weight.grad = None
            self.theta[lane].copy_(weight.detach())

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        chosen = lanes.tolist()
        self.theta, self._anchor = self.theta[lanes].clone(), self._anchor[lanes]
        self._lr, self._decay = self._lr[lanes], self._decay[lanes]
        self._weights, self._each = ([x[lane] for lane in chosen] for x in (self._weights, self._each))

    def state(self) -> dict[str, Tensor]:
        """Tensors of every lane's optimiser, by lane and name."""
        found: dict[str, Tensor] = {}
        for lane, (weight, optimiser) in enumerate(zip(self._weights, self._each, strict=True)):
            for name, value in optimiser.state[weight].items():
                found[f"{lane}.{name}"] = value.detach().clone() if isinstance(value, Tensor) else torch.tensor(value)
        return found

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state`; the lanes' weights are ``theta``, which was set before."""
        for lane, (weight, optimiser) in enumerate(zip(self._weights, self._each, strict=True)):
            weight.data.copy_(self.theta[lane])
            own = {key.partition(".")[2]: value for key, value in state.items() if key.startswith(f"{lane}.")}
            optimiser.state[weight] = {key: int(v) if key == "step" else v.clone() for key, v in own.items()}


def optimiser_of(settings: Sequence[Settings], rates: Sequence[float], start: Tensor, anchor: Tensor) -> LaneOptimiser:
    """The optimiser of lanes whose settings name the same one, at their first weights [K, P]."""
    lr = torch.tensor(rates, dtype=torch.float32, device=start.device)
    decay = torch.tensor([own.weight_decay for own in settings], dtype=torch.float32, device=start.device)
    name = settings[0].optimiser
    if name == "adamw":
        return LaneAdamW(start.clone(), anchor, lr, decay)
    return LaneEightBit(start.clone(), anchor, lr, decay, paged=name.startswith("paged"))


def rate_factor(settings: Settings, step: int, steps: int) -> float:
    """Factor on the learning rate at a step, from 1: a linear rise, then constant or down to 0 behind the last step."""
    rise = int(settings.warm_up * steps)
    if step <= rise:
        return step / (rise + 1)
    if settings.schedule == "constant":
        return 1.0
    done = (step - 1 - rise) / max(1, steps - rise)
    return 1.0 - done if settings.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
