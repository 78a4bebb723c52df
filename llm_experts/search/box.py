"""From genes in [0, 1] to weights: bounds, a floor for the base, and the box that guidance narrows.

Optuna sees genes only, with the fixed range [0, 1]. Narrowing the range of an Optuna parameter in mid-study is
accepted and silently drops the parameter from what NSGA-II inherits, which turns it into random search; here the box
moves and the genes stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llm_experts.search.settings import SearchError, SearchSettings

MIN_WIDTH = 0.01
"""A narrowed box keeps at least this share of an expert's full range."""


@dataclass(frozen=True)
class Box:
    """Ranges of K weights.

    Attributes
    ----------
    low, high : [K] float64
    ceiling : float
        Most that the weights may add up to (1 − floor of the base); inf without a floor.
    off_below : float
        Weights between 0 and this are 0.
    """

    low: Tensor
    high: Tensor
    ceiling: float = math.inf
    off_below: float = 0.0

    def decode(self, genes: Tensor) -> Tensor:
        """[P, K] weights of genes [P, K] in [0, 1]; above the ceiling all shrink towards ``low`` until they meet it."""
        above = genes.to(torch.float64) * (self.high - self.low)
        room = self.ceiling - float(self.low.sum())
        weights = self.low + above * (room / above.sum(1, keepdim=True).clamp(min=1e-300)).clamp(max=1.0)
        return torch.where((weights > 0) & (weights < self.off_below), 0.0, weights)

    def encode(self, weights: Tensor) -> Tensor:
        """[P, K] genes of weights inside the box."""
        return ((weights - self.low) / (self.high - self.low).clamp(min=1e-300)).clamp(0.0, 1.0)

    def holds(self, weights: Tensor) -> Tensor:
        """[P] bool, which weights lie in the box (a weight switched off counts as inside) and under the ceiling."""
        off = (weights == 0) & (self.off_below > 0)
        inside = ((weights >= self.low - 1e-9) & (weights <= self.high + 1e-9)) | off
        return inside.all(1) & (weights.sum(1) <= self.ceiling + 1e-9)

    def narrowed(self, low: Tensor, high: Tensor) -> Box:
        """The box between ``low`` and ``high`` cut to this one, never narrower than ``MIN_WIDTH`` of it."""
        width = MIN_WIDTH * (self.high - self.low)
        centre = ((low + high) / 2).clamp(self.low, self.high)
        low = torch.minimum(low, centre - width / 2).clamp(self.low, self.high)
        high = torch.maximum(high, centre + width / 2).clamp(self.low, self.high)
        return Box(low, high, self.ceiling, self.off_below)

    def pairs(self, names: Sequence[str]) -> dict[str, tuple[float, float]]:
        """Range by expert."""
        return {n: (float(a), float(b)) for n, a, b in zip(names, self.low, self.high, strict=True)}


def box_of(settings: SearchSettings, names: Sequence[str]) -> Box:
    """The full box of a search.

    Raises
    ------
    SearchError
        If bounds name an unknown expert, are empty, or leave no room for the base's floor.
    """
    pairs = _pairs(settings.bounds, names)
    for name, (bottom, top) in pairs.items():
        if not (math.isfinite(bottom) and math.isfinite(top) and bottom < top):
            raise SearchError(
                f"The bounds of {name} are {bottom:g} to {top:g}; they have to be finite, the lower below the upper. "
                "To fix a weight, fold the expert into the base instead."
            )
    low = torch.tensor([pairs[n][0] for n in names], dtype=torch.float64)
    high = torch.tensor([pairs[n][1] for n in names], dtype=torch.float64)
    ceiling = math.inf if settings.base_floor is None else 1.0 - settings.base_floor
    if float(low.sum()) >= ceiling:
        raise SearchError(
            f"The experts' lower bounds add up to {float(low.sum()):g}, which leaves the base less than its floor "
            f"{settings.base_floor:g}. Lower the bounds or the floor: their sum has to stay below 1."
        )
    return Box(low, high, ceiling, settings.off_below)


def _pairs(
    bounds: tuple[float, float] | Mapping[str, tuple[float, float]], names: Sequence[str]
) -> dict[str, tuple[float, float]]:
    if not isinstance(bounds, Mapping):
        return dict.fromkeys(names, bounds)
    unknown = sorted(set(bounds) - set(names))
    if unknown:
        raise SearchError(f"Bounds name {', '.join(unknown)}; the mixture's experts are {', '.join(names)}.")
    return {name: bounds.get(name, (0.0, 1.0)) for name in names}
