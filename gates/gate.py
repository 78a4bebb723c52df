"""The contract of a gate: rows and expert outputs in, mixture weights out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor


@dataclass(frozen=True)
class GateState:
    """What a gate sees of r rows.

    Attributes
    ----------
    features : [r, d] float
        Encoded features of the rows.
    logits : [r, m] float
        Logit margins of the m experts, in the mixture's order.
    """

    features: Tensor
    logits: Tensor


@runtime_checkable
class Gate(Protocol):
    """Mixture weights on the simplex for each row."""

    name: str

    def weights(self, state: GateState) -> Tensor:
        """[r, m], non-negative, rows sum to 1, differentiable in features, logits and parameters."""
        ...
