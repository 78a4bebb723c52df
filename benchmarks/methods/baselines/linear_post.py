"""LinearPost: boosted trees, cut by a linear threshold on a model of (group, label).

The model of the label and the cut see what the parameter ``mode`` says: with the group known at prediction time the cut
is a threshold per group; without it the cut is linear in P(group, label | x). Cuts come from training rows by models
that have not seen them (three folds); the models that predict are fitted on all training rows. Where base rates differ,
a threshold per group cannot bring ``fair_res@1`` below some limit: a trial that asks for less fails and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._model import GroupModelExpert
from benchmarks.methods.user_code import EstimatorError
from experts.saved import read_facts
from experts.trees.booster import TreeModel, fit_trees
from experts.trees.fitting import watched_rows
from experts.tuning.folds import fold_of_rows
from foundation.files import write_json
from foundation.seeding import derive_seed
from metrics.expected_labels import expected_labels
from metrics.thresholds import margins_of
from moe.decision.blind import BlindRows, best_blind
from moe.decision.group_model import GroupModel, unseen_joint
from moe.decision.linear_post import LinearRule, aware_joint
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FOLDS = 3
AWARE = "aware"
RULE = "rule.json"


@dataclass(frozen=True)
class LinearPostModel:
    """Trees for the label, trees for the group (None where it is told), and the cut."""

    trees: TreeModel
    of_group: GroupModel | None
    rule: LinearRule
    n_groups: int
    kind: ClassVar[str] = "linear post"

    @property
    def parameter_count(self) -> int:
        """Of both models, and the numbers of the cut."""
        of_group = 0 if self.of_group is None else TreeModel(self.of_group.booster).parameter_count
        return self.trees.parameter_count + of_group + self.rule.multipliers.numel() + 1

    def margins(self, features: Tensor, groups: Tensor) -> Tensor:
        """[r] margins, moved by that of each row's threshold; ``groups`` are looked at where they are told."""
        probability = torch.sigmoid(self.trees.margins(features).double())
        if self.of_group is None:
            joint = aware_joint(probability, groups, self.n_groups)
        else:
            joint = self.of_group.joint(features, probability)
        return margins_of(self.rule.apply(probability, joint)).float()

    def write(self, folder: Path) -> None:
        """Write both models and the cut."""
        self.trees.write(folder)
        if self.of_group is not None:
            self.of_group.save(folder)
        cut = {"multipliers": self.rule.multipliers.tolist(), "t": self.rule.t}
        write_json(folder / RULE, {**cut, "groups": self.n_groups, "blind": self.of_group is not None})

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote."""
        facts = read_facts(folder / RULE)
        of_group = GroupModel.load(folder, facts["groups"]) if facts["blind"] else None
        multipliers = torch.tensor(facts["multipliers"], dtype=torch.float64)
        return cls(TreeModel.read(folder), of_group, LinearRule(multipliers, facts["t"]), facts["groups"])


def space() -> Mapping[str, BaseDistribution]:
    """Of the trees; what is known of the group, which gap is to be small and how small."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    return {
        "learning_rate": FloatDistribution(0.02, 0.3, log=True),
        "num_leaves": IntDistribution(4, 64, log=True),
        "min_data_in_leaf": IntDistribution(5, 100, log=True),
        "mode": CategoricalDistribution((AWARE, "blind")),
        "gap": CategoricalDistribution(("fair_res@1", "dp@1", "eodds@1")),
        "tol": FloatDistribution(5e-3, 0.2, log=True),
    }


def fit(view: TaskView, params: Params, seed: int) -> GroupModelExpert:
    """Trees on training rows, stopped by validation rows; the cut on training rows that they have not seen.

    Raises
    ------
    EstimatorError
        If no cut keeps the gap on these rows.
    """
    settings = {key: params[key] for key in ("learning_rate", "num_leaves", "min_data_in_leaf")}
    train, n_groups = view.split.train, len(view.group_names)
    fold = fold_of_rows(view, FOLDS, seed)
    probability = torch.sigmoid(_unseen(view, fold, settings, seed))
    known = view.labels[train], view.groups[train], n_groups
    aware = params["mode"] == AWARE
    if aware:
        joint = aware_joint(probability, view.groups[train], n_groups)
    else:
        joint = unseen_joint(view.features[train], *known, probability, fold, seed)
    rows = BlindRows(probability, *known, expected_labels(margins_of(probability), *known), joint)
    found = best_blind(rows, params["gap"], params["tol"])
    if found is None:
        raise EstimatorError(
            f"linear_post finds no cut on {view.name} whose {params['gap']} is at most {params['tol']:.3g} on the "
            "training rows. Allow a larger tol."
        )
    of_group = None if aware else GroupModel.fit(view.features[train], *known, derive_seed(seed, "groups"))
    trees = _trees(view, train, settings, derive_seed(seed, "base"))
    return GroupModelExpert(LinearPostModel(trees, of_group, found.rule, n_groups), "postprocessing", seed, params)


def _trees(view: TaskView, rows: Tensor, settings: Mapping[str, Any], seed: int) -> TreeModel:
    return fit_trees(view.features[rows], view.labels[rows], settings, seed, validation=watched_rows(view))


def _unseen(view: TaskView, fold: Tensor, settings: Mapping[str, Any], seed: int) -> Tensor:
    """[r] float64 margins of training rows by trees that have not seen them."""
    train = view.split.train
    margins = torch.empty(len(train), dtype=torch.float64)
    for held in range(FOLDS):
        trees = _trees(view, train[fold != held], settings, derive_seed(seed, "fold", held))
        margins[fold == held] = trees.margins(view.features[train[fold == held]]).double()
    return margins


METHOD = Baseline(
    label="LinearPost",
    about="trees with a cut that is linear in a model of group and label",
    family="postprocessing",
    reference="Xian and Zhao, A Unified Post-Processing Framework for Group Fairness in Classification, "
    "arXiv 2405.04025",
    fit=fit,
    space=space,
    fair=True,
    sensitive_at_prediction=True,
    colour="green",
    explainer="shapley_sampling",
    place=95,
    seconds=(0.5, 1.0),
)
"""Marked as one that must know the group: the variant that tuning chooses may."""
