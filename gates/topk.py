"""Sparse routing: the dense gate, with all but the k best experts of a row switched off."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from gates.candidates import GateFit
from gates.definition import GateDefinition
from gates.dense import DenseGate, stacked_gates
from gates.lanes import train_gate_lanes
from gates.problem import GateProblem

NOISE = 0.5
"""Standard deviation of the noise on the scores in training."""


@dataclass(frozen=True, eq=False)
class TopKGate(DenseGate):
    """Softmax over the k largest scores of a row, 0 elsewhere (Shazeer et al., ICLR 2017, without its noise).

    The masked softmax is differentiable in the k experts that a row keeps; noise on the scores during
    training (:data:`NOISE`) is what lets a row try the others.
    """

    name: ClassVar[str] = "topk"
    k: int = 2

    def normalise(self, scores: Tensor) -> Tensor:
        """[..., r, m] weights, at most k of them positive in a row."""
        kept = scores.topk(min(self.k, scores.shape[-1]), dim=-1).indices
        mask = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, kept, True)
        return super().normalise(scores.masked_fill(~mask, -torch.inf))


def fit(problem: GateProblem) -> GateFit:
    """As :func:`gates.dense.fit`, with noise on the scores in training."""
    return train_gate_lanes(problem, TopKGate.name, partial(stacked_gates, problem, TopKGate), noise=NOISE)


GATE = GateDefinition(
    label="Top-2 gate",
    about="the same gate, only its two largest weights",
    gate=TopKGate,
    fit=fit,
    kind="gate",
    method="gate_top2",
    pools=("tabular",),
    colour="blue",
    place=20,
)
