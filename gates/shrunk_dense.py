"""A row-wise gate over families, shrunk towards the best static weights and kept only where unseen rows ask for it."""

# SciPy is not annotated.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor

from gates.candidates import GateFit
from gates.definition import GateDefinition
from gates.gate import GateState
from gates.log_loss import margin_losses, row_folds
from gates.mixing import mixture_log_probabilities, mixture_margin
from gates.problem import ExpertOutputs, GateProblem
from gates.simplex import simplex_weights

STRENGTHS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""Penalties on ½‖U‖², from nearly static to free."""
FOLDS = 3
CERTAIN = 1.0
"""Paired standard errors by which a row-wise gate must beat the static weights on unseen rows."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ShrunkDenseGate:
    """softmax(log w + U [x ⊙ visible, opinions]) over families; within a family the experts keep their shares.

    With U = 0 it is the static mixture w. Opinions are 2p − 1 and its size, of each family's own mixture, and 1.

    Attributes
    ----------
    visible : [d] float
        1 for features that the gate may look at, 0 for hidden ones.
    members : [f, m]
        Row f: weights of the experts in family f's own mixture, on the simplex.
    families : [f]
        Static weights w of the families, on the simplex.
    feature_weight : [d, f]
    opinion_weight : [2f + 1, f]
    """

    name: ClassVar[str] = "shrunk_dense"
    visible: Tensor
    members: Tensor
    families: Tensor
    feature_weight: Tensor
    opinion_weight: Tensor

    def project(self, features: Tensor) -> Tensor:
        """[..., r, f]: the part of the scores that comes from the features."""
        return (features * self.visible) @ self.feature_weight

    def weights_of(self, projected: Tensor, logits: Tensor) -> Tensor:
        """[..., r, m] weights; see :class:`gates.gate.ProjectedGate`."""
        scores = self.families.log() + projected + family_opinions(self.members, logits) @ self.opinion_weight
        return torch.softmax(scores, -1) @ self.members

    def weights(self, state: GateState) -> Tensor:
        """[r, m] weights on the simplex."""
        return self.weights_of(self.project(state.features), state.logits)

    def trainable(self) -> dict[str, Tensor]:
        """What gradients may change."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name.endswith("_weight")}

    def replace(self, **tensors: Tensor) -> Self:
        """A gate with some tensors replaced."""
        return replace(self, **tensors)

    def to(self, dtype: torch.dtype) -> Self:
        """The same gate in another precision."""
        return replace(self, **{f.name: getattr(self, f.name).to(dtype) for f in fields(self)})

    @property
    def static(self) -> bool:
        """Whether unseen rows did not ask for weights that depend on the row."""
        return not bool(self.feature_weight.any() or self.opinion_weight.any())


def family_opinions(members: Tensor, logits: Tensor) -> Tensor:
    """[..., 2f + 1] what families say: 2p − 1 and |2p − 1| of each family's mixture ``members`` [f, m], and 1."""
    lean = 2 * torch.sigmoid(logits) @ members.T.to(logits.dtype) - 1
    return torch.cat([lean, lean.abs(), torch.ones_like(lean[..., :1])], -1)


@dataclass(frozen=True)
class _Rows:
    """What a fit reads of n rows: inputs [n, d + 2f + 1] and probabilities of the true label [n, f] of the families."""

    inputs: Doubles
    probability: Doubles

    def take(self, picked: Tensor) -> _Rows:
        index = picked.numpy()
        return _Rows(self.inputs[index], self.probability[index])


def _rows(outputs: ExpertOutputs, members: Tensor, visible: Tensor) -> _Rows:
    logits = outputs.state.logits
    mixed = torch.stack(mixture_log_probabilities(members.float()[:, None], logits[None]), 0).exp()  # [2, f, n]
    probability = torch.where(outputs.labels == 1, mixed[0], mixed[1]).T.clamp(min=1e-7)
    inputs = torch.cat([outputs.state.features * visible, family_opinions(members.float(), logits)], 1)
    return _Rows(inputs.double().numpy(), probability.double().numpy())


def _path(rows: _Rows, families: Tensor, strengths: Sequence[float]) -> list[Doubles]:
    """U [d + 2f + 1, f] for each strength, from strong to weak, each from the last one."""
    shape, found = (rows.inputs.shape[1], rows.probability.shape[1]), list[Doubles]()
    start, anchor = np.zeros(shape), families.double().log().numpy()
    for strength in strengths:
        result = minimize(
            _loss,
            start.ravel(),
            args=(rows, anchor, strength),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 200},
        )
        start = result.x.reshape(shape)
        found.append(start)
    return found


def _loss(flat: Doubles, rows: _Rows, anchor: Doubles, strength: float) -> tuple[float, Doubles]:
    """Mean log loss plus ``strength``/2 ‖U‖², and its gradient: inputsᵀ (weights − responsibilities) / n."""
    table = flat.reshape(rows.inputs.shape[1], -1)
    scores = anchor + rows.inputs @ table
    weights = np.exp(scores - scores.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    parts = weights * rows.probability
    total = parts.sum(1, keepdims=True)
    gradient = rows.inputs.T @ (weights - parts / total) / len(total) + strength * table
    return float(-np.log(total).mean() + strength / 2 * (flat @ flat)), gradient.ravel()


def _row_losses(table: Doubles, rows: _Rows, families: Tensor) -> Doubles:
    """[n] log loss of each row."""
    scores = families.double().log().numpy() + rows.inputs @ table
    weights = np.exp(scores - scores.max(1, keepdims=True))
    losses: Doubles = -np.log((weights * rows.probability).sum(1) / weights.sum(1))
    return losses


def cross_fitted_losses(problem: GateProblem, rows: _Rows, families: Tensor) -> Doubles:
    """[strengths, n] log loss of every row by gates that were fitted without it."""
    fold, losses = row_folds(problem, FOLDS), np.empty((len(STRENGTHS), len(rows.inputs)))
    for number in range(FOLDS):
        unseen = torch.nonzero(fold == number).flatten()
        tables = _path(rows.take(torch.nonzero(fold != number).flatten()), families, STRENGTHS)
        for place, table in enumerate(tables):
            losses[place, unseen.numpy()] = _row_losses(table, rows.take(unseen), families)
    return losses


def needed_strength(losses: Doubles, static: Doubles) -> int | None:
    """Place of the strength of the smallest loss, or None: it does not beat the static weights beyond noise.

    Parameters
    ----------
    losses : [strengths, n]
        Cross-fitted.
    static : [n]
        Losses of the static weights, whose few numbers lose next to nothing on unseen rows.
    """
    best = int(losses.mean(1).argmin())
    gain = static - losses[best]
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    return best if gain.mean() > CERTAIN * error else None


def static_families(problem: GateProblem) -> tuple[Tensor, Tensor]:
    """[f, m] the families' own mixtures and [f] the families' weights, so that both are those of the best static point.

    A family without weight there gets its experts' plain mean, and a weight of 1e-3, so that no row is out of its
    reach.
    """
    outputs, even = problem.oof, problem.membership
    logits = torch.where(outputs.labels[:, None] == 1, outputs.state.logits, -outputs.state.logits)
    point = simplex_weights(torch.sigmoid(logits).clamp(min=1e-7))
    inside = (even > 0) * point
    totals = inside.sum(1)
    members = torch.where(totals[:, None] > 0, inside / totals[:, None].clamp(min=1e-300), even)
    lifted = totals.clamp(min=1e-3)
    return members, lifted / lifted.sum()


def fit(problem: GateProblem) -> GateFit:
    """Learns from all rows with outputs of experts that have not seen them; the strength is chosen by cross-fitting."""
    members, families = static_families(problem)
    outputs, visible = problem.oof, problem.visible
    rows = _rows(outputs, members, visible)
    point = (families @ members).float()
    static = margin_losses(mixture_margin(point, outputs.state.logits), outputs.labels).numpy()
    place = needed_strength(cross_fitted_losses(problem, rows, families), static)
    table = np.zeros((rows.inputs.shape[1], len(families)))
    if place is not None:
        table = _path(rows, families, STRENGTHS[: place + 1])[-1]
    features = len(visible)
    learnt = torch.from_numpy(table).float()
    gate = ShrunkDenseGate(visible, members.float(), families.float(), learnt[:features], learnt[features:])
    return GateFit(gate, None, problem.finish(gate, problem.score(gate)))


GATE = GateDefinition(
    label="Shrunk dense gate",
    about="weights of families row by row, kept only where unseen rows ask for them",
    gate=ShrunkDenseGate,
    fit=fit,
    kind="gate",
    method="gate_shrunk_dense",
    pools=(),
    colour="blue",
    place=25,
)
