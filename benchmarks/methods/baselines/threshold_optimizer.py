"""ThresholdOptimizer (fairlearn): thresholds by group on the scores of a plain model.

Thresholds come from scores of training rows that the scoring model has not seen (three folds); the final model is
fitted on all training rows. Thresholds on the scores of fitted rows would not transfer to new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._base import base_space, fit_base, read_base
from benchmarks.methods.baselines._linear import LinearModel
from benchmarks.methods.baselines._model import GroupModelExpert
from benchmarks.methods.estimator_expert import Floats, margin_of
from benchmarks.methods.user_code import EstimatorError
from experts.saved import read_facts
from experts.trees.booster import TreeModel
from experts.trees.fitting import watched_rows
from foundation.files import write_json
from foundation.seeding import derive_seed
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FOLDS = 3
GRID = 1000
RULES = "rules.json"


@dataclass(frozen=True)
class Threshold:
    """Class 1 for scores above it, or below it."""

    operator: str  # ">" or "<"
    value: float  # may be infinite

    def __call__(self, scores: Floats) -> npt.NDArray[np.bool_]:
        """[r] which scores decide for class 1."""
        return scores > self.value if self.operator == ">" else scores < self.value


@dataclass(frozen=True)
class GroupRule:
    """What fairlearn's ThresholdOptimizer found for a group: one of two thresholds by their odds, or a coin.

    Attributes
    ----------
    thresholds : two Threshold
    odds : two float
        How often each of them decides.
    ignored : float
        How often a coin of the chance ``coin`` decides instead.
    coin : float
    """

    thresholds: tuple[Threshold, Threshold]
    odds: tuple[float, float]
    ignored: float = 0.0
    coin: float = 0.0

    @classmethod
    def of(cls, found: Any) -> Self:
        """Of an entry of fairlearn's ``interpolation_dict``."""
        asked = (found.operation0, found.operation1)
        first, second = (Threshold(each.operator, float(each.threshold)) for each in asked)
        coin = (float(found.p_ignore), float(found.prediction_constant)) if "p_ignore" in found else (0.0, 0.0)
        return cls((first, second), (float(found.p0), float(found.p1)), *coin)

    def chance(self, scores: Floats) -> Floats:
        """[r] float64 probability of deciding for class 1."""
        first, second = (odds * cut(scores) for odds, cut in zip(self.odds, self.thresholds, strict=True))
        chance: Floats = self.ignored * self.coin + (1 - self.ignored) * (first + second)
        return chance

    def facts(self) -> dict[str, Any]:
        """As JSON holds it; thresholds are words, since they may be infinite."""
        cuts = [[each.operator, str(each.value)] for each in self.thresholds]
        return {"thresholds": cuts, "odds": list(self.odds), "ignored": self.ignored, "coin": self.coin}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        """What :meth:`facts` told."""
        first, second = (Threshold(operator, float(value)) for operator, value in facts["thresholds"])
        return cls((first, second), (facts["odds"][0], facts["odds"][1]), facts["ignored"], facts["coin"])


@dataclass(frozen=True)
class GroupThresholds:
    """A plain model and fairlearn's thresholds on its margins; scored by the probability of deciding for class 1."""

    base: LinearModel | TreeModel
    rules: Mapping[int, GroupRule]  # by group of the task; of those that have training rows
    kind: ClassVar[str] = "group thresholds"

    @property
    def parameter_count(self) -> int:
        """Of the plain model, and two thresholds and their odds for each group."""
        return self.base.parameter_count + 4 * len(self.rules)

    def margins(self, features: Tensor, groups: Tensor) -> Tensor:
        """[r] logits of the probability of deciding for class 1; 0 (hence -30) for a group without training rows."""
        scores, members = self.base.margins(features).double().numpy(), groups.numpy()
        decided = np.zeros(len(scores))
        for group, rule in self.rules.items():
            decided[members == group] = rule.chance(scores[members == group])
        return margin_of(np.clip(decided, 0, 1))

    def write(self, folder: Path) -> None:
        """Write the plain model, and the thresholds as JSON."""
        self.base.write(folder)
        facts = [{"group": group, **rule.facts()} for group, rule in self.rules.items()]
        write_json(folder / RULES, {"base": self.base.kind, "rules": facts})

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote."""
        facts = read_facts(folder / RULES)
        rules = {int(one["group"]): GroupRule.of_facts(one) for one in facts["rules"]}
        return cls(read_base(folder, facts["base"]), rules)


def space() -> Mapping[str, BaseDistribution]:
    """Of the plain model; the constraint, its tolerance (demographic parity only), and what is to be high."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        **base_space(),
        "constraint": CategoricalDistribution(("demographic_parity", "equalized_odds")),
        "tol": FloatDistribution(1e-3, 0.2, log=True),
        "objective": CategoricalDistribution(("accuracy_score", "balanced_accuracy_score")),
    }


def fit(view: TaskView, params: Params, seed: int) -> GroupModelExpert:
    """The plain model and its thresholds, on training rows; validation rows stop the boosting.

    Raises
    ------
    EstimatorError
        If a group's training rows are all of one class: it has no true and false positive rate to choose among.
    """
    found = fitted_optimizer(view, params, seed).interpolated_thresholder_.interpolation_dict
    rules = {int(group): GroupRule.of(rule) for group, rule in found.items()}
    base = _fit_on(view, view.split.train, params, derive_seed(seed, "base"))
    return GroupModelExpert(GroupThresholds(base, rules), "postprocessing", seed, params)


def fitted_optimizer(view: TaskView, params: Params, seed: int) -> Any:
    """Fairlearn's ThresholdOptimizer, fitted on scores of training rows by models that have not seen them.

    Raises
    ------
    EstimatorError
        See :func:`fit`.
    """
    from fairlearn.postprocessing import ThresholdOptimizer

    from benchmarks.methods.baselines._scores import Scores  # scikit-learn takes long to import

    _check_groups(view)
    train = view.split.train
    scores = _unseen_scores(view, params, derive_seed(seed, "folds"))
    parity = params["constraint"] == "demographic_parity"
    optimizer: Any = ThresholdOptimizer(
        estimator=Scores(),
        constraints=params["constraint"],
        objective=params["objective"],
        tol=params["tol"] if parity else None,
        grid_size=GRID,
        prefit=True,
        predict_method="decision_function",
    )
    groups = view.groups[train].numpy()
    return optimizer.fit(scores.double()[:, None].numpy(), view.labels[train].numpy(), sensitive_features=groups)


def _check_groups(view: TaskView) -> None:
    train = view.split.train
    for group, name in enumerate(view.group_names):
        labels = view.labels[train][view.groups[train] == group]
        if len(labels) and int(labels.min()) == int(labels.max()):
            raise EstimatorError(
                f"threshold_optimizer cannot be fitted on {view.name}: all {len(labels)} training rows of the group "
                f"{name!r} are of class {int(labels[0])}, and fairlearn's ThresholdOptimizer needs both classes in "
                "every group. Use fewer sensitive columns, or another split."
            )


def _unseen_scores(view: TaskView, params: Params, seed: int) -> Tensor:
    """[r] margins of the training rows by models that have not seen them; folds are stratified by group and label."""
    from sklearn.model_selection import StratifiedKFold

    train = view.split.train
    cells: npt.NDArray[np.int64] = (2 * view.groups[train] + view.labels[train]).numpy()
    scores = torch.empty(len(train))
    folds: Any = StratifiedKFold(FOLDS, shuffle=True, random_state=seed % 2**32)  # type: ignore[no-untyped-call]
    for fold, (seen, unseen) in enumerate(folds.split(cells, _merged(cells))):
        model = _fit_on(view, train[torch.from_numpy(seen)], params, derive_seed(seed, fold))
        scores[torch.from_numpy(unseen)] = model.margins(view.features[train[torch.from_numpy(unseen)]])
    return scores


def _merged(strata: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Strata [r], those of fewer rows than folds joined with the largest one."""
    names, counts = np.unique(strata, return_counts=True)
    few = names[counts < FOLDS]
    return np.where(np.isin(strata, few), names[counts.argmax()], strata)


def _fit_on(view: TaskView, rows: Tensor, params: Params, seed: int) -> LinearModel | TreeModel:
    return fit_base(view.features[rows], view.labels[rows], params, seed, validation=watched_rows(view))


METHOD = Baseline(
    label="ThresholdOptimizer",
    about="trees with a threshold per group",
    family="postprocessing",
    reference="Hardt, Price and Srebro, Equality of Opportunity in Supervised Learning, NeurIPS 2016; fairlearn",
    fit=fit,
    space=space,
    fair=True,
    scores_decisions=True,
    sensitive_at_prediction=True,
    colour="orange",
    explainer="shapley_sampling",
    place=90,
    seconds=(0.05, 0.15),
)
