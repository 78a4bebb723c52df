"""Error parity: a random choice between two thresholds for each group, by a relaxed linear program on ROC curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._model import GroupModelExpert
from benchmarks.methods.baselines._package import package, quiet_package
from benchmarks.methods.baselines._scored import Scored, scored
from benchmarks.methods.estimator_expert import margin_of
from benchmarks.methods.user_code import EstimatorError
from experts.trees.booster import TreeModel
from foundation.files import write_json
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

TICKS = 200
"""Points of a group's ROC curve at most."""


@dataclass(frozen=True)
class Lottery:
    """Decisions of a group: class 1 with the chances of all thresholds that a row's probability reaches, added up.

    Attributes
    ----------
    thresholds : tuple of float
        Of the probability; infinite for one that nothing reaches.
    shares : tuple of float
        How often each threshold is drawn.
    always : float
        Chance of class 1 whatever the row is.
    """

    thresholds: tuple[float, ...]
    shares: tuple[float, ...]
    always: float = 0.0

    def chance(self, probability: Tensor) -> Tensor:
        """[r] float64 probability of deciding for class 1."""
        reached = probability[:, None] >= torch.tensor(self.thresholds, dtype=torch.float64)
        return reached.double() @ torch.tensor(self.shares, dtype=torch.float64) + self.always


PLAIN = Lottery((0.5,), (1.0,))
"""Of a group without training rows."""


@dataclass(frozen=True)
class GroupLotteries:
    """Boosted trees and a lottery over thresholds for each group; scored by the probability of deciding for class 1."""

    base: TreeModel
    lotteries: Sequence[Lottery]  # by group of the task

    @property
    def parameter_count(self) -> int:
        """Nodes, thresholds and their chances."""
        return self.base.parameter_count + sum(2 * len(lottery.shares) + 1 for lottery in self.lotteries)

    def margins(self, features: Tensor, groups: Tensor) -> Tensor:
        """[r] logits of the probability of deciding for class 1."""
        probability = torch.sigmoid(self.base.margins(features).double())
        chance = torch.zeros(len(features), dtype=torch.float64)
        for group, lottery in enumerate(self.lotteries):
            members = groups == group
            chance[members] = lottery.chance(probability[members])
        return margin_of(chance.clamp(0, 1).numpy())

    def write(self, folder: Path) -> None:
        """Write the trees as LightGBM's text and the lotteries as JSON."""
        self.base.write(folder)
        facts = [
            {"thresholds": [str(cut) for cut in lottery.thresholds], "shares": lottery.shares, "always": lottery.always}
            for lottery in self.lotteries
        ]
        write_json(folder / "lotteries.json", {"lotteries": facts})


def space() -> Mapping[str, BaseDistribution]:
    """The constraint, how far it is relaxed, and what a missed member of class 1 costs beside a false one."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        "constraint": CategoricalDistribution(("equalized_odds", "demographic_parity", "true_positive_rate_parity")),
        "tolerance": FloatDistribution(1e-3, 0.2, log=True),
        "false_neg_cost": FloatDistribution(0.5, 4.0, log=True),
    }


def fit(view: TaskView, params: Params, seed: int) -> GroupModelExpert:
    """The program on the training rows, scored by models that have not seen them; it draws nothing, whatever the seed.

    Raises
    ------
    EstimatorError
        If a group's training rows are all of one class: it has no ROC curve.
    """
    known = scored(view)
    _check_groups(view, known)
    found = group_lotteries(known, params)
    lotteries = [PLAIN] * len(view.group_names)
    for group, lottery in zip(known.present.tolist(), found, strict=True):
        lotteries[group] = lottery
    return GroupModelExpert(GroupLotteries(known.base, tuple(lotteries)), "postprocessing", seed, params)


def group_lotteries(known: Scored, params: Params) -> list[Lottery]:
    """What the package finds, without the random numbers that its own predictions draw."""
    library = package("error_parity", "error_parity")
    package("ecos", "error_parity")  # the solver that it asks for
    with quiet_package():
        optimizer = library.RelaxedThresholdOptimizer(
            predictor=lambda rows: rows, constraint=params["constraint"], tolerance=params["tolerance"],
            false_neg_cost=params["false_neg_cost"], max_roc_ticks=TICKS,
        )  # fmt: skip
        optimizer.fit(known.chance, known.labels, group=known.groups, y_scores=known.chance)
        targets = optimizer.groupwise_roc_points
        classifiers = optimizer._realized_classifier.group_to_clf
    return [_lottery(classifiers[group], float(targets[group][0])) for group in range(len(known.present))]


def _lottery(classifier: Any, rate: float) -> Lottery:
    """The thresholds of one of the package's classifiers; ``rate`` is the false positive rate that it aims at.

    It draws among classifiers with a threshold and, for a point inside the curve, a coin that comes up for class 1 at
    that rate.
    """
    if hasattr(classifier, "threshold"):
        return Lottery((float(classifier.threshold),), (1.0,))
    if not hasattr(classifier, "probabilities"):
        return Lottery((), (), float(classifier.target_fpr))
    pairs = list(zip(classifier.classifiers, np.asarray(classifier.probabilities, dtype=float), strict=True))
    cuts = [(float(part.threshold), float(share)) for part, share in pairs if hasattr(part, "threshold")]
    coin = sum(float(share) for part, share in pairs if not hasattr(part, "threshold"))
    return Lottery(tuple(cut for cut, _ in cuts), tuple(share for _, share in cuts), coin * rate)


def _check_groups(view: TaskView, known: Scored) -> None:
    for group, number in enumerate(known.present.tolist()):
        labels = known.labels[known.groups == group]
        if labels.min() == labels.max():
            raise EstimatorError(
                f"error_parity cannot be fitted on {view.name}: all {len(labels)} training rows of the group "
                f"{view.group_names[number]!r} are of class {int(labels[0])}, and a ROC curve needs both classes. Use "
                "fewer sensitive columns, or another split."
            )


METHOD = Baseline(
    label="Error parity",
    about="trees with a lottery over thresholds per group",
    family="postprocessing",
    reference="Cruz and Hardt, Unprocessing Seven Years of Algorithmic Fairness, ICLR 2024; error-parity",
    fit=fit,
    space=space,
    fair=True,
    sensitive_at_prediction=True,
    scores_decisions=True,
    colour="orange",
    explainer="shapley_sampling",
    place=94,
    seconds=(0.05, 0.1),
    levels=(("rival", "plain"),),
)
