"""The best of several boosted models, each bagged over folds of training and validation rows.

What a practitioner can have without any mixture: more rows for every model, five models instead of one, and margins of
rows that no model in question has seen, by which configurations are compared and thresholds fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.methods.baseline import Params
from benchmarks.methods.baselines._boosted import fit_boosted
from benchmarks.methods.baselines._model import ModelExpert
from experts.bagging import Bag, HonestBag, bag_fit, bag_folds, bag_name, bag_rows
from experts.trees.booster import Floats
from experts.trees.fitting import tree_space
from experts.tuning.trials import quiet_optuna
from foundation.seeding import derive_seed
from tasks.task import TaskView

CONFIGURATIONS, FOLDS = 10, 5

Weigh = Callable[[TaskView, Tensor], Floats]
"""(view, rows [r]) → [r] weights of rows."""


@dataclass(frozen=True, eq=False)
class BaggedMethod(HonestBag):
    """The bag that was chosen, as a method.

    Attributes
    ----------
    seed : int
    settings : mapping
        The chosen configuration, its number and the out-of-fold log loss of every one.
    """

    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: Path, **further: Any) -> None:
        """Write its models, each in a sub-folder, and what was chosen."""
        super().save(folder, seed=self.seed, settings=dict(self.settings), **further)


def best_bag(view: TaskView, seed: int, weigh: Weigh | None = None, family: str = "gbdt") -> BaggedMethod:
    """The configuration of the lowest out-of-fold log loss among ten, weighted as its rows are.

    Parameters
    ----------
    view : TaskView
    seed : int
        Of the configurations, the folds and the fits.
    weigh : callable, optional
        Weights of rows; default: all alike.
    family : str
        What it is called.
    """
    fold, drawn = bag_folds(view, FOLDS, derive_seed(seed, "folds")), configurations(seed)
    bags = [_bag(view, params, number, fold, seed, weigh, family) for number, params in enumerate(drawn)]
    losses = [_log_loss(view, bag.oof, weigh) for bag in bags]
    best = min(range(len(bags)), key=losses.__getitem__)
    settings = {**drawn[best], "best_trial": best, "log_loss": losses}
    return BaggedMethod.of(view, bags[best], fold, seed=seed, settings=settings)


def configurations(seed: int) -> list[dict[str, Any]]:
    """Ten points of the space of LightGBM, drawn at random."""
    import optuna

    with quiet_optuna():
        sampler = optuna.samplers.RandomSampler(seed=derive_seed(seed, "configurations") % 2**32)
        study = optuna.create_study(sampler=sampler)
        return [dict(study.ask(dict(tree_space())).params) for _ in range(CONFIGURATIONS)]


def _bag(view: TaskView, params: Params, number: int, fold: Tensor, seed: int, weigh: Weigh | None, family: str) -> Bag:
    def fit(part: TaskView) -> ModelExpert:
        weights = None if weigh is None else weigh(part, part.split.train)
        return fit_boosted(part, params, derive_seed(seed, "fit", number), weights=weights, family=family)

    return bag_fit(view, fit, fold, bag_name(family, "baseline", number), family, "baseline", number)


def _log_loss(view: TaskView, margins: Tensor, weigh: Weigh | None) -> float:
    """Mean log loss of out-of-fold margins [n], weighted as the rows are."""
    rows = bag_rows(view)
    weights = None if weigh is None else torch.from_numpy(weigh(view, rows))
    labels = view.labels[rows].double()
    return float(torch.nn.functional.binary_cross_entropy_with_logits(margins.double(), labels, weights))
