"""One expert for all rows, chosen on validation rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gates.definition import GateDefinition
from gates.static import StaticWeights, corner


@dataclass(frozen=True)
class BestSingleGate(StaticWeights):
    """Weight 1 for expert ``index`` of ``experts``."""

    name: ClassVar[str] = "best_single"
    selectable: ClassVar[bool] = True
    index: int
    experts: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.experts:
            raise ValueError(f"expert {self.index} does not exist: there are {self.experts}, counted from 0")

    @property
    def point(self) -> Tensor:
        """[m] one-hot."""
        return corner(self.index, self.experts)


def fit_best_single(experts: int, score: Callable[[Tensor], Tensor]) -> BestSingleGate:
    """The expert whose validation score is largest (the first one in a tie).

    Parameters
    ----------
    experts : int
    score : callable
        [c, m] candidate weights -> [c] scores on validation rows, larger is better.
    """
    return BestSingleGate(int(score(torch.eye(experts)).argmax()), experts)


GATE = GateDefinition(
    label="Best single expert",
    about="the expert that validation rows prefer",
    gate=BestSingleGate,
    kind="static",
    method="best_single",
    pools=("tabular", "graph", "text", "cross"),
    colour="sky",
    place=50,
)
