"""The contract of a gate: rows and expert outputs in, mixture weights out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, Self, runtime_checkable

from torch import Tensor

from tasks.task import TaskView


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
    """Mixture weights on the simplex for each row; ``name`` is that of the file in ``gates/`` that defines it."""

    name: ClassVar[str]

    def weights(self, state: GateState) -> Tensor:
        """[r, m], non-negative, rows sum to 1, differentiable in features, logits and parameters."""
        ...


@runtime_checkable
class ProjectedGate(Gate, Protocol):
    """A gate that sees the features through a linear map only, as all gates here but the oracle do.

    Integrated gradients of a mixture then walk along the projections, a few numbers per row, instead of
    along the features: ``weights(state) = weights_of(project(state.features), state.logits)``.
    """

    def project(self, features: Tensor) -> Tensor:
        """[r, h], linear in features and 0 for a row of zeros; h = 0 when features are not used."""
        ...

    def weights_of(self, projected: Tensor, logits: Tensor) -> Tensor:
        """[..., r, m] weights from [..., r, h] projections and [..., r, m] expert logits."""
        ...


@runtime_checkable
class ComposingGate(Gate, Protocol):
    """A gate that says itself how the experts' margins become the mixture's; all others mix probabilities."""

    def composed(self, weights: Tensor, logits: Tensor) -> Tensor:
        """[...] margin of the mixture from its weights [..., m] and the experts' margins [..., m], differentiable."""
        ...


@runtime_checkable
class TrainableGate(ProjectedGate, Protocol):
    """A gate with numbers that gradients may change, alone or together with the experts."""

    def trainable(self) -> dict[str, Tensor]:
        """The tensors that training may change, by name."""
        ...

    def replace(self, **tensors: Tensor) -> Self:
        """A gate with some tensors replaced."""
        ...


def masked_features(view: TaskView, rows: Tensor, keep: Tensor | None) -> Tensor:
    """[r, d] features of rows; columns that ``keep`` [r, columns] leaves out are set to 0, *unknown*."""
    features = view.features[rows]
    return features if keep is None else features * keep[:, view.column_of_feature].to(features.dtype)
