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
from benchmarks.methods.baselines._boosted import boosted_space, fit_boosted
from benchmarks.methods.baselines._model import ModelExpert
from experts.bagging import Bag, bag_fit, bag_folds, bag_name, bag_rows
from experts.expert import Expert
from experts.trees.booster import Floats
from experts.tuning.trials import quiet_optuna
from foundation.files import write_json
from foundation.seeding import derive_seed
from tasks.task import TaskView

CONFIGURATIONS, FOLDS = 10, 5

Weigh = Callable[[TaskView, Tensor], Floats]
"""(view, rows [r]) → [r] weights of rows."""


@dataclass(frozen=True, eq=False)
class BaggedMethod:
    """A bag as an expert that is honest about rows it was made of: they are answered by the one model without them.

    All other rows, also those of other tasks, get the mean of the models. So validation rows can be looked at, and
    thresholds fitted on them, as for a model that was fitted on training rows alone.

    Attributes
    ----------
    bag : Bag
        With the out-of-fold margins, for thresholds on all training and validation rows.
    task : str
        Hash of the task that its rows are of.
    fold : [n] int64
        By row of the task: the fold that it is held out in, -1 for rows that no model has seen.
    seed : int
    settings : mapping
        The chosen configuration, its number and the out-of-fold log loss of every one.
    """

    bag: Bag
    task: str
    fold: Tensor
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def role(self) -> str:
        """That of baselines."""
        return self.bag.expert.role

    @property
    def family(self) -> str:
        """What its models are."""
        return self.bag.expert.family

    @property
    def explainer(self) -> str:
        """That of its models: the attributions of a mean are the mean of theirs."""
        return self.bag.expert.explainer

    @property
    def parameter_count(self) -> int:
        """Of all its models."""
        return self.bag.expert.parameter_count

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] margin of class 1."""
        return self._by_fold(task, rows, lambda expert, some: expert.logits(task, rows[some], _of(keep, some)))

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] attributions of the model that answers."""
        return self._by_fold(task, rows, lambda expert, some: expert.attributions(task, rows[some]))

    def _by_fold(self, task: TaskView, rows: Tensor, ask: Callable[[Expert, Tensor], Tensor]) -> Tensor:
        """[r, ...] answers, put together from those of the models and their mean; ``ask`` gets positions of rows."""
        known = task.hash == self.task
        fold = self.fold[rows] if known else torch.full((len(rows),), -1, dtype=torch.int64)
        positions = [(fold == number).nonzero()[:, 0] for number in range(-1, len(self.bag.expert.experts))]
        asked = (self.bag.expert, *self.bag.expert.experts)
        parts = [(some, ask(expert, some)) for expert, some in zip(asked, positions, strict=True) if len(some)]
        if not parts:
            return ask(self.bag.expert, positions[0])
        return torch.cat([part for _, part in parts])[torch.cat([some for some, _ in parts]).argsort()]

    def save(self, folder: Path) -> None:
        """Write its models, each in a sub-folder, and what was chosen."""
        facts = {"family": self.family, "role": self.role, "seed": self.seed}
        write_json(folder / "expert.json", {**facts, **self.settings})
        self.bag.expert.save(folder)


def _of(keep: Tensor | None, some: Tensor) -> Tensor | None:
    return None if keep is None else keep[some]


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
    where = torch.full((len(view.labels),), -1, dtype=torch.int64)
    where[bag_rows(view)] = fold
    settings = {**drawn[best], "best_trial": best, "log_loss": losses}
    return BaggedMethod(bags[best], view.hash, where, seed, settings)


def configurations(seed: int) -> list[dict[str, Any]]:
    """Ten points of the space of LightGBM, drawn at random."""
    import optuna

    with quiet_optuna():
        sampler = optuna.samplers.RandomSampler(seed=derive_seed(seed, "configurations") % 2**32)
        study = optuna.create_study(sampler=sampler)
        return [dict(study.ask(dict(boosted_space())).params) for _ in range(CONFIGURATIONS)]


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
