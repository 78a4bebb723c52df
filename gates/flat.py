"""The numbers of a gate in one row, which is what the optimiser of lanes works on."""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor

from gates.gate import TrainableGate

AnyGate = TypeVar("AnyGate", bound=TrainableGate)


class FlatGate(Generic[AnyGate]):
    """The trainable tensors of C stacked gates as one tensor ``theta`` [C, P], and back.

    Parameters
    ----------
    gate : TrainableGate
        C stacked gates, or a single one for C = 1.
    lanes : int
        C.
    """

    def __init__(self, gate: AnyGate, lanes: int = 1) -> None:
        self._gate, self._tensors = gate, gate.trainable()
        self.theta = torch.cat([t.reshape(lanes, -1) for t in self._tensors.values()], 1)

    def gate(self, theta: Tensor) -> AnyGate:
        """The gate with these numbers [C, P], as differentiable views of them."""
        widths = [t.numel() // len(theta) for t in self._tensors.values()]
        parts = torch.split(theta, widths, 1)
        named = zip(self._tensors.items(), parts, strict=True)
        return self._gate.replace(**{name: part.view(old.shape) for (name, old), part in named})
