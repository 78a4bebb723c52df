"""A fitted torch network as a model of encoded features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor

from experts.saved import WEIGHTS, read_weights, write_weights


@dataclass(frozen=True)
class Network:
    """A network [r, d] → [r, 1], without a last sigmoid."""

    module: torch.nn.Sequential
    kind: ClassVar[str] = "network"

    @property
    def parameter_count(self) -> int:
        """Weights and biases."""
        return sum(p.numel() for p in self.module.parameters())

    def margins(self, features: Tensor) -> Tensor:
        """[r] logits."""
        with torch.no_grad():
            margins: Tensor = self.module(features)[:, 0]
        return margins

    def write(self, folder: Path) -> None:
        """Write the weights of its two layers as safetensors.

        Raises
        ------
        TypeError
            If it is anything else than two linear layers with a rectifier between them.
        """
        first, second = _layers(self.module)
        weights = {
            "first.weight": first.weight, "first.bias": first.bias, "second.weight": second.weight,
            "second.bias": second.bias,
        }  # fmt: skip
        write_weights(folder / WEIGHTS, weights)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote."""
        weights = read_weights(folder / WEIGHTS)
        layers = [_linear(weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in ("first", "second")]
        return cls(torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1]).requires_grad_(False))


def _layers(module: torch.nn.Sequential) -> tuple[torch.nn.Linear, torch.nn.Linear]:
    kinds = [type(part) for part in module]
    if kinds != [torch.nn.Linear, torch.nn.ReLU, torch.nn.Linear]:
        raise TypeError(f"a network of {[kind.__name__ for kind in kinds]} has no format to be saved in")
    first, _, second = module
    assert isinstance(first, torch.nn.Linear) and isinstance(second, torch.nn.Linear)
    return first, second


def _linear(weight: Tensor, bias: Tensor) -> torch.nn.Linear:
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], device="meta")  # nothing is drawn
    layer.weight, layer.bias = torch.nn.Parameter(weight), torch.nn.Parameter(bias)
    return layer
