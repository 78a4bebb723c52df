"""Fair classification by reductions: fairlearn's algorithms on fast oracles, and their expected prediction."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit
from torch import Tensor

from benchmarks.methods.baselines._linear import LinearModel
from benchmarks.methods.estimator_expert import CLIP, Floats, margin_of
from experts.saved import WEIGHTS, read_facts, read_weights, write_weights
from experts.trees.booster import DETERMINISTIC, TreeModel
from foundation.files import write_json

if TYPE_CHECKING:
    from tasks.task import TaskView

Singles = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

NEWTON_STEPS, HALVINGS = 50, 12
TOLERANCE = 1e-5  # of Newton's decrement, relative to the loss
JITTER = 1e-7  # single precision of the largest curvature: keeps the system solvable where all rows are certain
CONSTRAINTS = ("demographic_parity", "equalized_odds")


def moment(constraint: str, bound: float | None = None) -> Any:
    """The constraint of fairlearn of a name in ``CONSTRAINTS``; ``bound`` is the allowed gap of a group to all rows."""
    from fairlearn.reductions import DemographicParity, EqualizedOdds

    kinds = {"demographic_parity": DemographicParity, "equalized_odds": EqualizedOdds}
    return kinds[constraint](difference_bound=bound)


def training_arrays(view: TaskView) -> tuple[Singles, Integers, Integers]:
    """Features [r, d], labels [r] and groups [r] of the training rows."""
    train = view.split.train
    return view.features[train].numpy(), view.labels[train].numpy(), view.groups[train].numpy()


@dataclass
class Shared:
    """What the clones of an oracle share: the rows, prepared once, and the last solution."""

    source: Any = None
    rows: Any = None
    solution: Floats | None = None


@dataclass
class LogisticOracle:
    """Logistic regression for a reduction, which fits dozens that differ by weights and labels alone.

    Newton steps begin at the solution before. The optimum is unique, so where they begin changes digits and time
    only. Decisions are hard, as fairlearn's reductions ask for.
    """

    C: float = 1.0
    model: LinearModel | None = None
    shared: Shared = field(default_factory=Shared)

    def __sklearn_clone__(self) -> Self:
        return type(self)(self.C, None, self.shared)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__sklearn_clone__()

    def fit(self, X: Singles, y: Any, sample_weight: Any) -> Self:
        """Fit on rows with weights."""
        shared = self.shared
        if shared.source is not X:
            shared.source, shared.rows = X, np.column_stack((X, np.ones(len(X), np.float32)))
            shared.solution = None
        weights = self.C * np.asarray(sample_weight, dtype=np.float64)
        shared.solution = newton_logistic(shared.rows, np.asarray(y), weights, shared.solution)
        beta = torch.from_numpy(shared.solution).float()
        self.model = LinearModel(beta[:-1], beta[-1])
        return self

    def predict(self, X: Singles) -> Integers:
        """[r] decisions."""
        assert self.model is not None
        return (self.model.margins(torch.from_numpy(X).clone()) > 0).numpy().astype(np.int64)


def newton_logistic(rows: Singles, labels: Any, weights: Floats, start: Floats | None = None) -> Floats:
    """[d + 1] minimiser of sum_i w_i log(1 + exp(-t_i x_i b)) + |b|^2 / 2 without the last entry, t = 2 y - 1.

    Damped Newton's method. Products with ``rows`` [r, d + 1] float32 (the last column is 1) are in single precision:
    decisions are those of double precision but for rows at the boundary.

    Parameters
    ----------
    labels : [r] in {0, 1}
    weights : [r] float64, not negative
    start : [d + 1] float64, optional
    """
    sign = 2.0 * labels - 1
    ridge = np.ones(rows.shape[1])
    ridge[-1] = 0

    def value(beta: Floats, margins: Floats) -> float:
        return float(weights @ np.logaddexp(0, -sign * margins) + ridge @ beta**2 / 2)

    def margins_of(beta: Floats) -> Floats:
        return (rows @ beta.astype(np.float32)).astype(np.float64)

    beta = np.zeros(rows.shape[1]) if start is None else start
    margins = margins_of(beta)
    best = value(beta, margins)
    for _ in range(NEWTON_STEPS):
        probability = expit(margins)
        residual = (weights * (probability - labels)).astype(np.float32)
        slope = (residual @ rows).astype(np.float64) + ridge * beta
        scaled = rows * np.sqrt(weights * probability * (1 - probability)).astype(np.float32)[:, None]
        hessian = (scaled.T @ scaled).astype(np.float64)  # of an array and its own transpose: half the work
        hessian[np.diag_indices_from(hessian)] += ridge + JITTER * (1 + hessian.diagonal().max())
        step = np.linalg.solve(hessian, slope)
        decrease = float(slope @ step)
        for halvings in range(HALVINGS):
            there = beta - 0.5**halvings * step
            reached = margins_of(there)
            found = value(there, reached)
            if found <= best - 1e-4 * 0.5**halvings * decrease:
                break
        else:
            return beta  # single precision sees no way down any more
        beta, margins, best = there, reached, found
        if decrease <= TOLERANCE * best:
            break  # the step after this one would be smaller by another square
    return beta


@dataclass
class TreesOracle:
    """Boosted trees for a reduction; the rows are binned once, for all clones."""

    settings: dict[str, Any]
    rounds: int
    model: TreeModel | None = None
    shared: Shared = field(default_factory=Shared)
    _decided: tuple[Any, Integers] | None = None

    def __sklearn_clone__(self) -> Self:
        return type(self)(self.settings, self.rounds, None, self.shared)

    def fit(self, X: Singles, y: Any, sample_weight: Any) -> Self:
        """Fit on rows with weights."""
        import lightgbm

        given = {**DETERMINISTIC, **self.settings}
        if self.shared.source is not X:
            self.shared.source = X
            self.shared.rows = lightgbm.Dataset(X, np.asarray(y), params=given).construct()
        rows = self.shared.rows.set_label(np.asarray(y)).set_weight(np.asarray(sample_weight))
        self.model = TreeModel(lightgbm.train(given, rows, self.rounds))
        return self

    def predict(self, X: Singles) -> Integers:
        """[r] decisions; those of the training rows, which a reduction asks for twice, are kept."""
        assert self.model is not None
        if self._decided is None or self._decided[0] is not X:
            decided = (self.model.margins(torch.from_numpy(X).clone()) > 0).numpy().astype(np.int64)
            self._decided = (X, decided)
        return self._decided[1]


@dataclass(frozen=True)
class LinearVotes:
    """A randomised predictor over linear classifiers, scored by its expected decision; all in one product."""

    weight: Tensor  # [m, d]
    bias: Tensor  # [m]
    share: Tensor  # [m] float64, sums to 1
    kind: ClassVar[str] = "linear votes"

    @property
    def parameter_count(self) -> int:
        """Weights, biases and shares."""
        return self.weight.numel() + 2 * self.bias.numel()

    def margins(self, features: Tensor) -> Tensor:
        """[r] logits of the probability of deciding for class 1."""
        votes = (features @ self.weight.T + self.bias > 0).to(torch.float64)
        return margin_of((votes @ self.share).clamp(0, 1).numpy())

    def write(self, folder: Path) -> None:
        """Write the classifiers and their shares as safetensors."""
        write_weights(folder / WEIGHTS, {"weight": self.weight, "bias": self.bias, "share": self.share})

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote."""
        weights = read_weights(folder / WEIGHTS)
        return cls(weights["weight"], weights["bias"], weights["share"])


@dataclass(frozen=True)
class TreeVotes:
    """A randomised predictor over boosted trees, scored by its expected decision."""

    models: tuple[TreeModel | float, ...]  # a number is the margin of a constant decision
    share: Tensor  # [m] float64, sums to 1
    kind: ClassVar[str] = "tree votes"

    @property
    def parameter_count(self) -> int:
        """Nodes of all trees, and shares."""
        nodes = (1 if isinstance(m, float) else m.parameter_count for m in self.models)
        return sum(nodes) + len(self.models)

    def margins(self, features: Tensor) -> Tensor:
        """[r] logits of the probability of deciding for class 1."""
        total = torch.zeros(len(features), dtype=torch.float64)
        for model, share in zip(self.models, self.share.tolist(), strict=True):
            margins = torch.full((len(features),), model) if isinstance(model, float) else model.margins(features)
            total += share * (margins > 0)
        return margin_of(total.clamp(0, 1).numpy())

    def write(self, folder: Path) -> None:
        """Write every booster as LightGBM's text, constant decisions and shares as JSON."""
        constants = {i: m for i, m in enumerate(self.models) if isinstance(m, float)}
        write_json(folder / "votes.json", {"share": self.share.tolist(), "constant": constants})
        for index, model in enumerate(self.models):
            if not isinstance(model, float):
                (folder / str(index)).mkdir()
                model.write(folder / str(index))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote."""
        facts = read_facts(folder / "votes.json")
        share, constants = facts["share"], facts["constant"]
        margins = {int(index): float(margin) for index, margin in constants.items()}
        models = tuple(margins[i] if i in margins else TreeModel.read(folder / str(i)) for i in range(len(share)))
        return cls(models, torch.tensor(share, dtype=torch.float64))


def linear_votes(reduction: Any, d: int) -> LinearVotes:
    """The classifiers of a fitted ExponentiatedGradient that have weight."""
    members, share = _voters(reduction)
    models = [linear_of(member, d) for member in members]
    weight = torch.stack([model.weight for model in models])
    return LinearVotes(weight, torch.stack([model.bias for model in models]), share)


def tree_votes(reduction: Any) -> TreeVotes:
    """The boosters of a fitted ExponentiatedGradient that have weight."""
    members, share = _voters(reduction)
    return TreeVotes(tuple(_trees_of(member) for member in members), share)


def linear_of(predictor: Any, d: int) -> LinearModel:
    """The linear model of an oracle; a constant decision is one without weights."""
    if isinstance(predictor, LogisticOracle):
        assert predictor.model is not None
        return predictor.model
    return LinearModel(torch.zeros(d), torch.tensor(constant_margin(predictor)))


def _trees_of(predictor: Any) -> TreeModel | float:
    if isinstance(predictor, TreesOracle):
        assert predictor.model is not None
        return predictor.model
    return constant_margin(predictor)


def constant_margin(predictor: Any) -> float:
    """±30 of scikit-learn's DummyClassifier, which stands in where weights leave one label only."""
    return CLIP if predictor.constant == 1 else -CLIP


def _voters(reduction: Any) -> tuple[list[Any], Tensor]:
    share = reduction.weights_.sort_index()
    share = share[share > 0]
    return list(reduction.predictors_[share.index]), torch.from_numpy(share.to_numpy(np.float64, copy=True))


def exponentiated_gradient(view: TaskView, oracle: Any, constraint: str, eps: float, max_iter: int) -> Any:
    """A fitted fairlearn ExponentiatedGradient; ``eps`` is the allowed gap of a group to all training rows."""
    from fairlearn.reductions import ExponentiatedGradient

    features, labels, groups = training_arrays(view)
    reduction: Any = ExponentiatedGradient(oracle, moment(constraint, eps), max_iter=max_iter)
    return reduction.fit(features, labels, sensitive_features=groups)
