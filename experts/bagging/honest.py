"""A bag that stays honest about the rows it was made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from experts.bagging.bag import Bag
from experts.bagging.folds import bag_rows
from experts.expert import Expert
from tasks.task import TaskView

NEW = -1
"""Fold of rows that no model has seen."""


@dataclass(frozen=True, eq=False)
class HonestBag:
    """A bag that answers rows it was made of by the one model that has not seen them, and all others by the mean.

    So validation rows can be looked at, and thresholds fitted on them, as for a model that was fitted on training rows
    alone.

    Attributes
    ----------
    bag : Bag
    task : str
        Hash of the task whose rows it was made of.
    fold : [rows of the task] int64
        The fold that a row is held out in; ``NEW`` for all others.
    features : [rows of the task, d] float32
        Of the task itself, not of one whose rows were moved to another group: what was said of its rows is remembered.
    """

    bag: Bag
    task: str
    fold: Tensor
    features: Tensor = field(repr=False)
    _said: dict[bytes, Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, view: TaskView, bag: Bag, fold: Tensor, **further: Any) -> Self:
        """From the fold [n] of each of the rows that the bag was made of; ``further`` is for subclasses."""
        place = torch.full((len(view.labels),), NEW, dtype=torch.int64)
        place[bag_rows(view)] = fold
        return cls(bag, view.hash, place, view.features, **further)

    @property
    def role(self) -> str:
        """That of its models."""
        return self.bag.role

    @property
    def family(self) -> str:
        """That of its models."""
        return self.bag.family

    @property
    def explainer(self) -> str:
        """That of its models."""
        return self.bag.expert.explainer

    @property
    def knows_group(self) -> bool:
        """Whether its models are told the group of a row."""
        return self.bag.expert.knows_group

    @property
    def parameter_count(self) -> int:
        """Of all its models."""
        return self.bag.expert.parameter_count

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] margin of class 1; ``keep`` [r, columns] bool masks columns to unknown."""

        def ask(expert: Expert, some: Tensor) -> Tensor:
            return expert.logits(task, rows[some], None if keep is None else keep[some])

        if keep is not None or task.features is not self.features or task.hash != self.task:
            return self._answered(task, rows, ask)
        key = rows.numpy().tobytes()  # a library is asked for the rows of a part again and again
        if key not in self._said:
            self._said[key] = self._answered(task, rows, ask)
        return self._said[key].clone()

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] attributions of what answers."""
        return self._answered(task, rows, lambda expert, some: expert.attributions(task, rows[some]))

    def _answered(self, task: TaskView, rows: Tensor, ask: Callable[[Expert, Tensor], Tensor]) -> Tensor:
        """[r, ...] answers of the models and their mean; ``ask`` gets positions of rows."""
        fold = self.fold[rows] if task.hash == self.task else torch.full((len(rows),), NEW)
        everyone = self.bag.expert
        found = [
            (some, ask(everyone if number == NEW else everyone.experts[number], some))
            for number in torch.unique(fold).tolist()
            for some in (torch.nonzero(fold == number)[:, 0],)
        ]
        if not found:
            return ask(everyone, torch.arange(0))
        answers = torch.cat([part.detach() for _, part in found])
        return answers[torch.cat([some for some, _ in found]).argsort()]

    def save(self, folder: Path, **further: Any) -> None:
        """Write its models: elsewhere there are no rows that they have seen. ``further`` goes into ``expert.json``."""
        self.bag.expert.save(folder, **further)
