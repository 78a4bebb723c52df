"""Error parity: a random choice among thresholds for each group, by a relaxed linear program on ROC curves.

Own code from the paper's program, on scipy's solver. The authors' package needs a solver under GPL, and puts a package
``tests`` beside all others.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._model import GroupModelExpert
from benchmarks.methods.baselines._scored import Scored, scored
from benchmarks.methods.estimator_expert import Floats, margin_of
from benchmarks.methods.user_code import EstimatorError
from experts.saved import read_facts
from experts.trees.booster import TreeModel
from foundation.files import write_json
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

CONSTRAINTS = {
    "equalized_odds": ("false_positive", "true_positive"),
    "demographic_parity": ("selection",),
    "true_positive_rate_parity": ("true_positive",),
}
"""Rates that groups must share."""
SMALLEST = 1e-9
"""Share of a threshold below which it is the solver's rounding."""
LOTTERIES = "lotteries.json"


@dataclass(frozen=True)
class Lottery:
    """Decisions of a group: class 1 with the chances of all thresholds that a row's probability reaches, added up.

    Attributes
    ----------
    thresholds : tuple of float
        Of the probability; infinite for one that nothing reaches.
    shares : tuple of float
        How often each threshold is drawn.
    """

    thresholds: tuple[float, ...]
    shares: tuple[float, ...]

    def chance(self, probability: Tensor) -> Tensor:
        """[r] float64 probability of deciding for class 1."""
        reached = probability[:, None] >= torch.tensor(self.thresholds, dtype=torch.float64)
        return reached.double() @ torch.tensor(self.shares, dtype=torch.float64)


PLAIN = Lottery((0.5,), (1.0,))
"""Of a group without training rows."""


@dataclass(frozen=True)
class GroupLotteries:
    """Boosted trees and a lottery over thresholds for each group; scored by the probability of deciding for class 1."""

    base: TreeModel
    lotteries: Sequence[Lottery]  # by group of the task
    kind: ClassVar[str] = "group lotteries"

    @property
    def parameter_count(self) -> int:
        """Nodes, thresholds and their chances."""
        return self.base.parameter_count + sum(2 * len(lottery.shares) for lottery in self.lotteries)

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
            {"thresholds": [str(cut) for cut in lottery.thresholds], "shares": lottery.shares}
            for lottery in self.lotteries
        ]
        write_json(folder / LOTTERIES, {"lotteries": facts})

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote."""
        facts = read_facts(folder / LOTTERIES)["lotteries"]
        lotteries = (Lottery(tuple(map(float, one["thresholds"])), tuple(one["shares"])) for one in facts)
        return cls(TreeModel.read(folder), tuple(lotteries))


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
    """The lottery of each group that has training rows: the optimum of the relaxed linear program.

    A lottery over the thresholds of a group reaches every point (false positive rate, true positive rate) of the
    convex hull of its ROC curve, coins included, so that the shares themselves are the variables:

    minimise the expected cost of errors, subject to shares of a group that are not negative and sum to 1, and
    ``|r_g - r_h| <= tolerance`` for all groups g, h and every constrained rate r.
    """
    curves = [_curve(known, group) for group in range(len(known.present))]
    positives = np.array([known.labels[known.groups == g].sum() for g in range(len(curves))], dtype=np.float64)
    negatives = np.bincount(known.groups) - positives
    cost = np.concatenate([
        n * curve.false_positive - params["false_neg_cost"] * p * curve.true_positive
        for curve, n, p in zip(curves, negatives, positives, strict=True)
    ])  # fmt: skip
    rates = [
        [_rate(curve, name, p / (n + p)) for curve, n, p in zip(curves, negatives, positives, strict=True)]
        for name in CONSTRAINTS[params["constraint"]]
    ]
    shares = _program(cost / len(known.labels), rates, params["tolerance"])
    return [_lottery(curve.thresholds, share) for curve, share in zip(curves, shares, strict=True)]


@dataclass(frozen=True)
class _Curve:
    """Points of a group's ROC curve that its convex hull needs, from nobody to everybody."""

    thresholds: Floats
    false_positive: Floats
    true_positive: Floats


def _curve(known: Scored, group: int) -> _Curve:
    members = known.groups == group
    thresholds, counts = np.unique(-known.chance[members], return_counts=True)
    order = np.argsort(-known.chance[members], kind="stable")
    ends = np.concatenate(([0], counts.cumsum()))
    hits = np.concatenate(([0], known.labels[members][order].cumsum()))[ends]
    fpr, tpr = (ends - hits) / (ends - hits)[-1], hits / hits[-1]
    kept = _hull(fpr, tpr)
    return _Curve(np.concatenate(([np.inf], -thresholds))[kept], fpr[kept], tpr[kept])


def _hull(x: Floats, y: Floats) -> list[int]:
    """Positions of the vertices of the upper convex hull of a rising curve, in its order."""
    kept: list[int] = []
    for new in range(len(x)):
        while len(kept) > 1 and _turn(x, y, kept[-2], kept[-1], new) >= 0:
            kept.pop()
        kept.append(new)
    return kept


def _turn(x: Floats, y: Floats, a: int, b: int, c: int) -> float:
    """Above 0 where the way from a over b to c turns left, 0 where it goes straight on."""
    return float((x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a]))


def _rate(curve: _Curve, name: str, share: float) -> Floats:
    """[v] a rate at the points of a curve; ``share`` is that of class 1 in the group."""
    if name == "selection":
        return share * curve.true_positive + (1 - share) * curve.false_positive
    return curve.true_positive if name == "true_positive" else curve.false_positive


def _program(cost: Floats, rates: Sequence[Sequence[Floats]], tolerance: float) -> list[Floats]:
    """Shares of each group's thresholds at the optimum.

    Parameters
    ----------
    cost : [v] float64
        Of all groups' points, one group after the other.
    rates : by constrained rate, by group
        [v_g] its value at the points of a group.
    tolerance : float
        Largest difference of two groups.
    """
    optimize: Any = importlib.import_module("scipy.optimize")  # slow to import, and not annotated

    sizes = [len(rate) for rate in rates[0]]
    ends = np.cumsum([0, *sizes])
    at = [slice(start, end) for start, end in pairwise(ends)]
    rows = []
    for rate in rates:
        for g, h in permutations(range(len(at)), 2):
            row = np.zeros(len(cost))
            row[at[g]], row[at[h]] = rate[g], -rate[h]
            rows.append(row)
    whole = np.zeros((len(at), len(cost)))
    for group, place in enumerate(at):
        whole[group, place] = 1
    found = optimize.linprog(
        cost, A_ub=np.array(rows) if rows else None, b_ub=np.full(len(rows), tolerance) if rows else None, A_eq=whole,
        b_eq=np.ones(len(at)), method="highs",
    )  # fmt: skip
    if not found.success:  # nobody everywhere keeps every constraint: this cannot be
        raise RuntimeError(f"the linear program of error parity has no solution: {found.message}")
    return [np.clip(found.x[place], 0, 1) for place in at]


def _lottery(thresholds: Floats, shares: Floats) -> Lottery:
    """The thresholds that have a share; shares sum to 1 but for the rounding of the solver."""
    drawn = shares > SMALLEST
    total = shares[drawn].sum()
    return Lottery(tuple(thresholds[drawn].tolist()), tuple((shares[drawn] / total).tolist()))


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
    reference="Cruz and Hardt, Unprocessing Seven Years of Algorithmic Fairness, ICLR 2024",
    fit=fit,
    space=space,
    fair=True,
    sensitive_at_prediction=True,
    scores_decisions=True,
    colour="orange",
    explainer="shapley_sampling",
    place=94,
    seconds=(0.02, 0.1),
    levels=(("rival", "plain"),),
)
