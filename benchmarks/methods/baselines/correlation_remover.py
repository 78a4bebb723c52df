"""CorrelationRemover (fairlearn): features without their linear dependence on the group, then a plain model.

The group itself is removed from (a column for every group but one), and the sensitive columns are left out: for two
groups this is fairlearn's transformer on the sensitive column, for more it also takes their means apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._base import base_space, fit_base, read_base
from benchmarks.methods.baselines._linear import LinearModel
from benchmarks.methods.baselines._model import GroupModelExpert
from benchmarks.methods.estimator_expert import Floats
from experts.saved import read_facts, read_weights, write_weights
from experts.trees.booster import TreeModel
from foundation.files import write_json
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

BASE, TRANSFORM = "base.json", "transform.safetensors"


@dataclass(frozen=True)
class Uncorrelated:
    """What fairlearn's CorrelationRemover found on features and groups of a task.

    Attributes
    ----------
    beta : [g - 1, d'] float64
        What membership of group 1, 2, ... adds to each feature.
    mean : [g - 1] float64
        Shares of these groups in the training rows.
    alpha : float
        1 removes all linear dependence, 0 none.
    blind : [d] bool
        The d' features that are not of sensitive columns.
    """

    beta: Floats
    mean: Floats
    alpha: float
    blind: Tensor

    @classmethod
    def of(cls, remover: Any, blind: Tensor) -> Self:
        """Of a fitted CorrelationRemover."""
        return cls(np.array(remover.beta_), np.array(remover.sensitive_mean_), float(remover.alpha), blind)

    def __call__(self, features: Tensor, groups: Tensor) -> Tensor:
        """[r, d'] float32 transformed features of rows [r, d] of members of groups [r]."""
        plain = features[:, self.blind].double().numpy()
        members = _members(groups, len(self.mean) + 1).numpy()
        removed = plain - (members - self.mean).dot(self.beta)
        return torch.from_numpy(self.alpha * removed + (1 - self.alpha) * plain).float()

    def write(self, folder: Path) -> None:
        """Write it as safetensors."""
        numbers = {"beta": self.beta, "mean": self.mean, "alpha": np.array(self.alpha)}
        parts = {name: torch.from_numpy(part.copy()) for name, part in numbers.items()}
        write_weights(folder / TRANSFORM, {**parts, "blind": self.blind})

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote."""
        parts = read_weights(folder / TRANSFORM)
        return cls(parts["beta"].numpy(), parts["mean"].numpy(), float(parts["alpha"]), parts["blind"])


def uncorrelated(features: Tensor, groups: Tensor, blind: Tensor, n_groups: int, alpha: float) -> Uncorrelated:
    """Fit the transformer; ``alpha`` = 1 removes all linear dependence, 0 none."""
    from fairlearn.preprocessing import CorrelationRemover

    joined = _joined(features[:, blind], groups, n_groups)
    d = int(blind.sum())
    remover: Any = CorrelationRemover(sensitive_feature_ids=list(range(d, joined.shape[1])), alpha=alpha)
    return Uncorrelated.of(remover.fit(joined), blind)


def _joined(features: Tensor, groups: Tensor, n_groups: int) -> Any:
    """[r, d' + g - 1] float64: features, then whether the row is of group 1, 2, ..."""
    return torch.cat((features.double(), _members(groups, n_groups)), 1).numpy()


def _members(groups: Tensor, n_groups: int) -> Tensor:
    """[r, g - 1] float64: whether the row is of group 1, 2, ..."""
    return torch.nn.functional.one_hot(groups, n_groups)[:, 1:].double()


@dataclass(frozen=True)
class OnUncorrelated:
    """A plain model of transformed features."""

    transform: Uncorrelated
    base: LinearModel | TreeModel
    kind: ClassVar[str] = "on uncorrelated"

    @property
    def parameter_count(self) -> int:
        """Of the plain model and the transformer."""
        return self.base.parameter_count + int(self.transform.beta.size)

    def margins(self, features: Tensor, groups: Tensor) -> Tensor:
        """[r] margins of class 1."""
        return self.base.margins(self.transform(features, groups))

    def write(self, folder: Path) -> None:
        """Write the plain model and the transformer."""
        self.base.write(folder)
        self.transform.write(folder)
        write_json(folder / BASE, {"base": self.base.kind})

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote."""
        return cls(Uncorrelated.read(folder), read_base(folder, read_facts(folder / BASE)["base"]))


@dataclass(frozen=True)
class LinearOnUncorrelated(OnUncorrelated):
    """The same with a linear model: a row's margin is a sum over its features, and a constant of its group."""

    kind: ClassVar[str] = "linear on uncorrelated"

    def parts(self, features: Tensor) -> Tensor:
        """[r, d] weight times feature; 0 for the sensitive columns."""
        assert isinstance(self.base, LinearModel)
        parts = torch.zeros_like(features)
        parts[:, self.transform.blind] = self.base.parts(features[:, self.transform.blind])
        return parts


def space() -> Mapping[str, BaseDistribution]:
    """How much is removed, and of the plain model."""
    from optuna.distributions import FloatDistribution

    return {"alpha": FloatDistribution(0.0, 1.0), **base_space()}


def fit(view: TaskView, params: Params, seed: int) -> GroupModelExpert:
    """Transformer and plain model on training rows; validation rows stop the boosting."""
    train, watched = view.split.train, view.split.validation
    blind = torch.tensor([not view.columns[c].sensitive for c in view.column_of_feature.tolist()])
    features, groups = view.features[train], view.groups[train]
    transform = uncorrelated(features, groups, blind, len(view.group_names), params["alpha"])
    validation = (transform(view.features[watched], view.groups[watched]), view.labels[watched])
    base = fit_base(transform(features, groups), view.labels[train], params, seed, validation=validation)
    kind = LinearOnUncorrelated if isinstance(base, LinearModel) else OnUncorrelated
    return GroupModelExpert(kind(transform, base), "preprocessing", seed, params)


METHOD = Baseline(
    label="CorrelationRemover",
    about="features uncorrelated with groups",
    family="preprocessing",
    reference="Bird et al., Fairlearn, Microsoft technical report MSR-TR-2020-32, 2020",
    fit=fit,
    space=space,
    fair=True,
    sensitive_at_prediction=True,
    colour="orange",
    explainer="integrated_gradients or shapley_sampling",
    place=100,
    seconds=(0.15, 0.02),
)
