"""The same configurations on all rows: what is handed over once a choice has been scored.

A run keeps test rows back to say what a model is worth. Once that is said they can teach, too. A refit takes what the
validation rows chose as it is (hyperparameters, members of a mixture) and fits it again on training, validation and
test rows together, dealt anew into a training and a validation part of the same proportions, stratified by label and
group. Validation rows still stop trees and choose the checkpoint of a network; weights of mixtures and thresholds are
fitted again, on out-of-fold rows of all rows where the method is bagged.

What it means: no row is left that could say how good the refitted model is. The scores of the run are those of its
twin, which has seen fewer rows; usually it is no worse, but that is an expectation and no measurement. The honest
numbers that a refit has are its out-of-fold margins: each row by models that have not seen it.

The encoding stays that of the run's training rows, so that old and new rows mean the same to both models.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from benchmarks.run.stages.tuned_experts import TunedExperts
from experts.expert import Expert, Role
from experts.families.registry import PLAIN
from experts.tuning.tuned import Tuned
from foundation.hashing import hash_json
from tasks.task import Split, Task, TaskView
from tasks.thinning import thinned_rows


def refit_view(task: Task, seed: int) -> TaskView:
    """All labelled rows of a task, dealt into training and validation rows; no row is a test row.

    Parameters
    ----------
    task : Task
    seed : int
        Of the deal.

    Returns
    -------
    TaskView
        Validation rows are the share of all rows that they were of training and validation rows before; both parts
        hold every cell of label × group in proportion.
    """
    old = task.split
    rows = torch.cat([old.train, old.validation, old.test]).sort().values
    count = round(len(rows) * len(old.validation) / (len(old.train) + len(old.validation)))
    validation = thinned_rows(task, rows, count, seed, "refit")
    train = rows[~torch.isin(rows, validation)]
    split = dataclasses.replace(old, train=train, validation=validation, test=rows[:0])
    shown = TaskView(**{f.name: getattr(task, f.name) for f in dataclasses.fields(TaskView)})
    return dataclasses.replace(shown, split=split, hash=_hash(task, split))


def _hash(task: Task, split: Split) -> str:
    """The view is not the task that was tuned on: what is remembered of the one is not true of the other."""
    return hash_json([task.hash, "refit", split.hash])


class RefitExperts(TunedExperts):
    """Tuned experts of a job, each configuration trained again on another view with the seeds that it had."""

    def __init__(self, scored: TunedExperts, view: TaskView, folder: Path) -> None:
        super().__init__(scored.job, view, folder, scored.ledger, scored.notify)
        self._scored = scored

    def trial_expert(self, role: Role, number: int, family: str = PLAIN) -> Expert:
        """The configuration of a trial of a role."""
        found = self.of(role, 0, family)
        if number == found.best_trial:
            return found.expert
        return self._tuner(family).trial_again(self.view, self._chosen(role, family), number, self.job.seed_of(0))

    def _tuned(self, role: Role, family: str) -> Tuned:
        self.notify(self.job.name, f"refit {role} {family}", 0.0)
        again: list[Tuned] = self._tuner(family).repeat(self.view, self._chosen(role, family), [self.job.seed_of(0)])
        return again[0]

    def _chosen(self, role: Role, family: str) -> Tuned:
        """What the study on the job's own parts chose, for use on this view."""
        return dataclasses.replace(self._scored.of(role, 0, family), view_hash=self.view.hash)
