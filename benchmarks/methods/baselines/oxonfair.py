"""OxonFair: an offset for each group on the scores of boosted trees, found on a grid of pairs of metrics.

The package's fast search is used as it is; where there are more than three groups its grid of 30 steps a group would
need gigabytes, so that the number of steps a group shrinks.
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
from benchmarks.methods.baselines._model import GroupModelExpert
from benchmarks.methods.baselines._package import package, quiet_package
from benchmarks.methods.baselines._scored import Scored, scored
from benchmarks.methods.estimator_expert import Floats, margin_of
from experts.saved import read_facts
from experts.trees.booster import TreeModel
from foundation.files import write_json
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

STEPS, POINTS = 30, 30_000
"""Steps of the grid for each group (the package's own number), and how many points it may have."""
CUTS = "cuts.json"


@dataclass(frozen=True)
class GroupCuts:
    """Boosted trees, with a cut of the margin for each group of the task."""

    base: TreeModel
    cuts: Tensor  # [g] float32 margin above which a row of the group is of class 1
    kind: ClassVar[str] = "group cuts"

    @property
    def parameter_count(self) -> int:
        """Nodes and cuts."""
        return self.base.parameter_count + len(self.cuts)

    def margins(self, features: Tensor, groups: Tensor) -> Tensor:
        """[r] margins above the cut of the row's group, in the order of the model's own scores."""
        return self.base.margins(features) - self.cuts[groups]

    def contributions(self, features: Tensor) -> Tensor:
        """[r, d] exact Shapley values of the features; the cut of a group is no feature."""
        return self.base.contributions(features)

    def write(self, folder: Path) -> None:
        """Write the trees as LightGBM's text and the cuts as JSON."""
        self.base.write(folder)
        write_json(folder / CUTS, {"cuts": self.cuts.tolist()})

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote."""
        return cls(TreeModel.read(folder), torch.tensor(read_facts(folder / CUTS)["cuts"], dtype=torch.float32))


def space() -> Mapping[str, BaseDistribution]:
    """The constrained metric with its limit, and what is to be high under it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        "constraint": CategoricalDistribution(("demographic_parity", "equal_opportunity", "equalized_odds")),
        "limit": FloatDistribution(1e-3, 0.2, log=True),
        "objective": CategoricalDistribution(("accuracy", "balanced_accuracy", "f1")),
    }


def fit(view: TaskView, params: Params, seed: int) -> GroupModelExpert:
    """Offsets for the training rows, scored by models that have not seen them; it draws nothing, whatever the seed."""
    known = scored(view)
    offsets = group_offsets(known, params)
    cuts = torch.zeros(len(view.group_names))  # a group without training rows keeps the plain decision
    # class 1 where p + offset > 1 - p
    cuts[known.present] = margin_of(np.clip((1 - offsets) / 2, 0, 1))
    return GroupModelExpert(GroupCuts(known.base, cuts), "postprocessing", seed, params)


def group_offsets(known: Scored, params: Params) -> Floats:
    """[k] what is added to the probability of class 1 of members of each group.

    The highest objective among points of the front whose constraint keeps the limit; where none does, the one with the
    smallest gap, as ``FairPredictor.fit`` chooses.
    """
    efficient = package("oxonfair.learners.efficient_compute", "oxonfair")
    constraint, objective = _metric(params["constraint"]), _metric(params["objective"])
    steps = max(2, min(STEPS, int(POINTS ** (1 / len(known.present)))))
    with quiet_package():
        (worth, gaps), offsets = efficient.grid_search(
            known.labels, 1 - 2 * known.chance, (objective, constraint), known.groups, known.groups,
            directions=np.array([1.0, -1.0]), steps=steps,
        )  # fmt: skip
    kept = gaps <= params["limit"]
    best = int(np.where(kept, worth, -np.inf).argmax()) if kept.any() else int(gaps.argmin())
    found: Floats = np.asarray(offsets[:, best], dtype=np.float64)
    return found


def _metric(name: str) -> Any:
    """The package's metric of a name of the search space; gaps are the largest among pairs of groups."""
    metrics = package("oxonfair.utils.group_metrics", "oxonfair")
    gaps = {
        "demographic_parity": lambda: metrics.pos_pred_rate.max_diff,
        "equal_opportunity": lambda: metrics.true_pos_rate.max_diff,
        "equalized_odds": lambda: metrics.equalized_odds_max,
    }
    return gaps[name]() if name in gaps else getattr(metrics, name)


METHOD = Baseline(
    label="OxonFair",
    about="trees with an offset per group, found on a grid",
    family="postprocessing",
    reference="Delaney, Fu, Wachter, Mittelstadt and Russell, OxonFair: A Flexible Toolkit for Algorithmic Fairness, "
    "NeurIPS 2024; oxonfair",
    fit=fit,
    space=space,
    fair=True,
    sensitive_at_prediction=True,
    colour="orange",
    explainer="tree_shap",
    place=92,
    seconds=(0.02, 0.1),
    levels=(("rival", "plain"),),
)
