"""The gate between the plain average and the per-row oracle."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gates.gate import GateState
from gates.mixing import mixture_margin
from gates.oracle import OracleGate
from metrics.points import point_values


@dataclass(frozen=True)
class OracleGap:
    """The gate between the plain average and the per-row oracle, in utility@1 (labels of the rows are needed).

    ``regret`` is oracle - gate; ``closed`` is (gate - uniform) / (oracle - uniform), nan when the oracle gains nothing.
    """

    gate: float
    uniform: float
    oracle: float

    @property
    def regret(self) -> float:
        """Utility that a perfect router would add."""
        return self.oracle - self.gate

    @property
    def closed(self) -> float:
        """Share of the oracle's gain over the plain average that the gate reaches."""
        room = self.oracle - self.uniform
        return (self.gate - self.uniform) / room if room > 0 else math.nan


def oracle_gap(weights: Tensor, logits: Tensor, labels: Tensor, groups: Tensor, n_groups: int) -> OracleGap:
    """Compare gate, uniform average and oracle on rows with labels; [n, m] weights and expert logits."""
    uniform = torch.full_like(logits, 1 / logits.shape[-1])
    oracle = OracleGate(labels).weights(GateState(logits[:, :0], logits))
    margins = torch.stack([mixture_margin(w, logits) for w in (weights, uniform, oracle)])
    values = point_values(torch.sigmoid(margins), labels, groups, n_groups, metrics=("utility@1",))["utility@1"]
    return OracleGap(*values.tolist())
