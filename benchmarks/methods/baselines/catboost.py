"""Gradient-boosted symmetric trees (CatBoost)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._model import ModelExpert
from benchmarks.methods.baselines._package import package
from foundation.files import atomic_path
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

ROUNDS, PATIENCE = 300, 20
DETERMINISTIC = {"thread_count": 1, "allow_writing_files": False, "verbose": False, "boosting_type": "Plain"}
"""One thread and no ``catboost_info`` folder; ordered boosting is for small tables and takes several times as long."""
TREES = "trees.json"


@dataclass(frozen=True)
class SymmetricTrees:
    """A fitted CatBoostClassifier."""

    model: Any
    kind: ClassVar[str] = "symmetric trees"

    @property
    def parameter_count(self) -> int:
        """Leaf values, and a split for each level of a tree."""
        leaves = self.model.get_tree_leaf_counts()
        return int(leaves.sum() + sum(int(n).bit_length() - 1 for n in leaves))

    def margins(self, features: Tensor) -> Tensor:
        """[r] raw scores of class 1."""
        raw = self.model.predict(features.numpy(), prediction_type="RawFormulaVal", thread_count=1)
        return torch.from_numpy(raw).float()

    def contributions(self, features: Tensor) -> Tensor:
        """[r, d] exact Shapley values of the features, from the expected margin of the training rows (TreeSHAP)."""
        if not len(features):
            return torch.zeros(0, features.shape[1])
        library = package("catboost", "catboost")
        found = self.model.get_feature_importance(library.Pool(features.numpy()), type="ShapValues", thread_count=1)
        return torch.from_numpy(found[:, :-1].copy()).float()

    def write(self, folder: Path) -> None:
        """Write the trees as CatBoost's JSON."""
        with atomic_path(folder / TREES) as path:
            self.model.save_model(str(path), format="json")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote."""
        model = package("catboost", "catboost").CatBoostClassifier()
        return cls(model.load_model(str(folder / TREES), format="json"))


def space() -> Mapping[str, BaseDistribution]:
    """Step size, depth of the trees and two brakes on them."""
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        "learning_rate": FloatDistribution(0.03, 0.3, log=True),
        "depth": IntDistribution(3, 6),
        "l2_leaf_reg": FloatDistribution(0.3, 30.0, log=True),
        "random_strength": FloatDistribution(0.0, 2.0),
    }


def fit(view: TaskView, params: Params, seed: int) -> ModelExpert:
    """Boosting on the training rows, stopped by the log loss of the validation rows."""
    train, watched = view.split.train, view.split.validation
    classifier = package("catboost", "catboost").CatBoostClassifier
    model = classifier(
        iterations=ROUNDS, random_seed=seed % 2**31, early_stopping_rounds=PATIENCE, **DETERMINISTIC, **params
    )
    watching = (view.features[watched].numpy(), view.labels[watched].numpy())
    model.fit(view.features[train].numpy(), view.labels[train].numpy(), eval_set=watching)
    return ModelExpert(SymmetricTrees(model), "gbdt", seed, params)


METHOD = Baseline(
    label="CatBoost",
    about="plain symmetric trees, no fairness method",
    family="gbdt",
    reference="Prokhorenkova et al., CatBoost: Unbiased Boosting with Categorical Features, NeurIPS 2018",
    fit=fit,
    space=space,
    colour="ink",
    explainer="tree_shap",
    place=42,
    seconds=(0.1, 0.5),
    secondary=True,
    levels=(("rival", "thresholds"),),
)
