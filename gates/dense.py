"""The default gate: softmax of a small network over features and expert outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import ClassVar, Self

import torch
from torch import Tensor

from gates.candidates import GateFit
from gates.definition import GateDefinition
from gates.gate import GateState
from gates.lanes import train_gate_lanes
from gates.problem import GateProblem


def opinion_features(logits: Tensor) -> Tensor:
    """What the experts say about a row, as gate inputs.

    Parameters
    ----------
    logits : [..., r, m]

    Returns
    -------
    [..., r, 2m + 1]
        Probabilities p_k, confidences max(p_k, 1 - p_k), and the mean |p_j - p_k| over pairs of experts.
    """
    probability = torch.sigmoid(logits)
    confidence = torch.maximum(probability, 1 - probability)
    experts = logits.shape[-1]
    spread = (probability[..., :, None] - probability[..., None, :]).abs().sum((-2, -1))
    disagreement = spread / max(1, experts * (experts - 1))
    return torch.cat((probability, confidence, disagreement[..., None]), -1)


@dataclass(frozen=True, eq=False)
class DenseGate:
    """softmax((tanh([x ⊙ visible, opinions] W1 + b1) W2 + b2) / temperature).

    Every tensor may have a leading lane dimension C: then C gates are evaluated at once, and
    ``weights`` is [C, r, m]. Group-blind when the sensitive columns are not features, or when
    ``visible`` hides them.

    Attributes
    ----------
    visible : [d] float
        1 for features that the gate may look at, 0 for hidden ones.
    feature_weight : [..., d, h]
    opinion_weight : [..., 2m + 1, h]
    hidden_bias : [..., h]
    score_weight : [..., h, m]
    score_bias : [..., m]
    temperature : [...] float, > 0
        Small: decides for one expert; large: near uniform.
    """

    name: ClassVar[str] = "dense"
    visible: Tensor
    feature_weight: Tensor
    opinion_weight: Tensor
    hidden_bias: Tensor
    score_weight: Tensor
    score_bias: Tensor
    temperature: Tensor

    def project(self, features: Tensor) -> Tensor:
        """[..., r, h]: the part of the hidden layer's input that comes from the features."""
        return (features * self.visible) @ self.feature_weight

    def scores(self, projected: Tensor, logits: Tensor) -> Tensor:
        """[..., r, m] unnormalised scores."""
        opinions = opinion_features(logits) @ self.opinion_weight
        hidden = torch.tanh(projected + opinions + self.hidden_bias[..., None, :])
        return hidden @ self.score_weight + self.score_bias[..., None, :]

    def normalise(self, scores: Tensor) -> Tensor:
        """[..., r, m] weights from scores."""
        return torch.softmax(scores / self.temperature[..., None, None], -1)

    def weights_of(self, projected: Tensor, logits: Tensor) -> Tensor:
        """[..., r, m] weights from projections and logits; see :class:`gates.gate.ProjectedGate`."""
        return self.normalise(self.scores(projected, logits))

    def weights(self, state: GateState) -> Tensor:
        """[..., r, m] weights on the simplex."""
        return self.weights_of(self.project(state.features), state.logits)

    def trainable(self) -> dict[str, Tensor]:
        """The tensors that training may change, by field name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name in _TRAINABLE}

    def replace(self, **tensors: Tensor) -> Self:
        """A gate with some tensors replaced."""
        return replace(self, **tensors)

    def to(self, dtype: torch.dtype) -> Self:
        """The same gate in another precision."""
        fixed = {"visible": self.visible, "temperature": self.temperature}
        return replace(self, **{name: t.to(dtype) for name, t in {**fixed, **self.trainable()}.items()})

    def lane(self, index: int) -> Self:
        """One of C stacked gates, its tensors cloned."""
        stacked = {**self.trainable(), "temperature": self.temperature}
        return replace(self, **{name: t[index].detach().clone() for name, t in stacked.items()})


_TRAINABLE = ("feature_weight", "opinion_weight", "hidden_bias", "score_weight", "score_bias")


def initial_tensors(
    features: int, experts: int, hidden: int, start: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """Parameters of a dense gate whose weights are close to ``start`` for every row.

    Parameters
    ----------
    features, experts, hidden : int
        d, m and h of :class:`DenseGate`.
    start : [m] float
        Point of the simplex to begin at; zeros are lifted to 0.02 so that no expert is out of reach.
    generator : torch.Generator
    """
    opinions = 2 * experts + 1

    def normal(*shape: int, scale: float) -> Tensor:
        return torch.randn(*shape, generator=generator) * scale

    lifted = start.to(torch.float32).clamp(min=0.02)
    return {
        "feature_weight": normal(features, hidden, scale=features**-0.5),
        "opinion_weight": normal(opinions, hidden, scale=opinions**-0.5),
        "hidden_bias": torch.zeros(hidden),
        "score_weight": normal(hidden, experts, scale=0.01),
        "score_bias": (lifted / lifted.sum()).log(),
    }


def stacked_gates(
    problem: GateProblem, make: Callable[..., DenseGate], start: Tensor, generator: torch.Generator
) -> DenseGate:
    """Untrained gates of all configurations as lanes; all begin at the same parameters, near ``start`` [m]."""
    configs, features = problem.configs, len(problem.view.feature_names)
    tensors = initial_tensors(features, problem.experts, problem.budget.hidden, start, generator)
    temperature = torch.tensor([c.temperature for c in configs])
    lanes = {name: t.expand(len(configs), *t.shape).clone() for name, t in tensors.items()}
    lanes["score_bias"] = lanes["score_bias"] * temperature[:, None]  # the start holds at every temperature
    lanes["score_weight"] = lanes["score_weight"] * temperature[:, None, None]
    return make(problem.visible, **lanes, temperature=temperature)


def fit(problem: GateProblem) -> GateFit:
    """The best checkpoint of the configuration that validation rows prefer."""
    return train_gate_lanes(problem, DenseGate.name, partial(stacked_gates, problem, DenseGate))


GATE = GateDefinition(
    label="Dense gate",
    about="frozen experts, softmax weights row by row",
    gate=DenseGate,
    fit=fit,
    kind="gate",
    method="gate_dense",
    pools=("tabular", "graph", "text", "cross"),
    colour="blue",
    place=10,
)
