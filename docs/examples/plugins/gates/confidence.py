"""Experts that are surer of a row weigh more in it."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from gates.candidates import best_of
from gates.definition import GateDefinition


@dataclass(frozen=True)
class ConfidenceGate:
    name: ClassVar[str] = "confidence"
    power: float

    def project(self, features):
        return features[..., :0]  # features are not looked at

    def weights_of(self, projected, logits):
        sure = torch.maximum(torch.sigmoid(logits), torch.sigmoid(-logits))
        return torch.softmax(self.power * sure.log(), -1)

    def weights(self, state):
        return self.weights_of(self.project(state.features), state.logits)


def fit(problem):
    return best_of(problem, [ConfidenceGate(power) for power in (0.0, 1.0, 4.0, 16.0)])


GATE = GateDefinition(
    label="Confidence gate",
    about="experts that are surer of a row weigh more",
    gate=ConfidenceGate,
    fit=fit,
    pools=("tabular", "text"),
)
