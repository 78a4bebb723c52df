"""The upper bound of routing: for every row the expert that says most for the true label. A diagnostic only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gates.gate import GateState


@dataclass(frozen=True, eq=False)
class OracleGate:
    """One-hot weights on the expert with the largest probability of the row's own label.

    It reads labels, so it is in no registry: it can be neither fitted nor saved nor used on other rows.
    """

    name: ClassVar[str] = "oracle"
    labels: Tensor  # [r] int64 in {0, 1}, of exactly the rows that weights() is asked for

    def weights(self, state: GateState) -> Tensor:
        """[r, m] one-hot."""
        if len(self.labels) != len(state.logits):
            raise ValueError(
                f"the oracle knows {len(self.labels)} labels but was asked for {len(state.logits)} rows; "
                "build it from the labels of exactly these rows"
            )
        support = torch.where(self.labels[:, None] == 1, state.logits, -state.logits)
        best = support.argmax(-1)
        return torch.nn.functional.one_hot(best, state.logits.shape[-1]).to(state.logits.dtype)
