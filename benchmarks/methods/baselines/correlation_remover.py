"""CorrelationRemover (fairlearn): features without their linear dependence on the group, then a plain model.

The group itself is removed from (a column for every group but one), and the sensitive columns are left out: for two
groups this is fairlearn's transformer on the sensitive column, for more it also takes their means apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._base import base_space, fit_base
from benchmarks.methods.baselines._linear import LinearModel
from benchmarks.methods.baselines._model import GroupModelExpert
from experts.trees.booster import TreeModel
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


@dataclass(frozen=True)
class Uncorrelated:
    """fairlearn's CorrelationRemover on features and groups of a task."""

    remover: Any  # fitted
    blind: Tensor  # [d] bool: features that are not of sensitive columns
    n_groups: int

    def __call__(self, features: Tensor, groups: Tensor) -> Tensor:
        """[r, d'] float32 transformed features of rows [r, d] of members of groups [r]."""
        return torch.from_numpy(self.remover.transform(_joined(features[:, self.blind], groups, self.n_groups))).float()


def uncorrelated(features: Tensor, groups: Tensor, blind: Tensor, n_groups: int, alpha: float) -> Uncorrelated:
    """Fit the transformer; ``alpha`` = 1 removes all linear dependence, 0 none."""
    from fairlearn.preprocessing import CorrelationRemover

    joined = _joined(features[:, blind], groups, n_groups)
    d = int(blind.sum())
    remover: Any = CorrelationRemover(sensitive_feature_ids=list(range(d, joined.shape[1])), alpha=alpha)
    return Uncorrelated(remover.fit(joined), blind, n_groups)


def _joined(features: Tensor, groups: Tensor, n_groups: int) -> Any:
    """[r, d' + g - 1] float64: features, then whether the row is of group 1, 2, ..."""
    members = torch.nn.functional.one_hot(groups, n_groups)[:, 1:]
    return torch.cat((features.double(), members.double()), 1).numpy()


@dataclass(frozen=True)
class OnUncorrelated:
    """A plain model of transformed features."""

    transform: Uncorrelated
    base: LinearModel | TreeModel

    @property
    def parameter_count(self) -> int:
        """Of the plain model and the transformer."""
        return self.base.parameter_count + int(self.transform.remover.beta_.size)

    def margins(self, features: Tensor, groups: Tensor) -> Tensor:
        """[r] margins of class 1."""
        return self.base.margins(self.transform(features, groups))

    def write(self, folder: Path) -> None:
        """Write the plain model; the transformer follows from the settings and the task."""
        self.base.write(folder)


@dataclass(frozen=True)
class LinearOnUncorrelated(OnUncorrelated):
    """The same with a linear model: a row's margin is a sum over its features, and a constant of its group."""

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
