"""Baselines and own methods of a job: tuned once, fitted again with the chosen parameters for further seeds."""

from __future__ import annotations

import json
import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmarks.methods.baseline_tuning import TunedBaseline, tune_baseline
from benchmarks.methods.baselines import baseline_names, load_baseline
from benchmarks.methods.own_method import load_own
from benchmarks.run.levels import Trained
from benchmarks.run.stages.tuned_experts import TunedExperts
from benchmarks.run.telling.notify import SAME, Notify
from experts.bagging import Bag, bag_fit, bag_name
from experts.tuning.trials import TRAINED, UnknownTrialError
from foundation.files import write_json
from foundation.seeding import derive_seed

if TYPE_CHECKING:
    from benchmarks.methods.baseline import Baseline
    from benchmarks.plan.job import Job
    from experts.expert import Expert
    from tasks.task import TaskView

RECORD = ("role", "params", "best_trial", "feasible", "note", "trials")
"""Fields of a tuned method that are kept; its models are fitted again."""


class Baselines:
    """Methods that are neither experts nor mixtures of them, each made when it is first asked for.

    ``from_records``: what an earlier process has tuned is not tuned again, only its chosen trial is fitted.
    """

    def __init__(
        self,
        job: Job,
        view: TaskView,
        folder: Path,
        experts: TunedExperts,
        notify: Notify,
        *,
        from_records: bool = False,
    ) -> None:
        self._from_records = from_records
        self.job, self.view, self._folder, self._experts, self._notify = job, view, folder, experts, notify
        self._own = dict(job.own)
        self._found: dict[tuple[str, int], TunedBaseline] = {}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the job's baselines and own methods."""
        known = baseline_names()
        return tuple(method for method in self.job.methods if method in known or method in self._own)

    def of(self, method: str, repeat: int) -> TunedBaseline:
        """The tuned method; in further repetitions its chosen parameters, fitted with another seed."""
        if (method, repeat) not in self._found:
            self._found[method, repeat] = self._first(method) if repeat == 0 else self._again(method, repeat)
        return self._found[method, repeat]

    def _first(self, method: str) -> TunedBaseline:
        """The method of the first repetition, tuned or, where that is enough, as its record says."""
        return (self._recorded(method) if self._from_records else None) or self._tuned(method)

    def trained(self, method: str) -> Trained | None:
        """Probabilities of every trial of a tuned method; None for one that was fitted once."""
        found = self.of(method, 0)
        if not found.experts:
            return None
        validation, test = self.view.split.validation, self.view.split.test
        seen, unseen = (self._probabilities(found.experts, rows) for rows in (validation, test))
        return Trained(seen, unseen, params=[row["params"] for row in found.trials])

    def bag(self, method: str, fold: Tensor) -> Bag:
        """The chosen parameters of the first repetition, fitted again without each fold [n] of the bag's rows."""
        found, baseline = self.of(method, 0), self._baseline(method)
        seed = self._fit_seed(method, found.best_trial if found.trials else None)
        name = bag_name(found.expert.family, found.role, found.best_trial)
        return bag_fit(
            self.view, lambda part: baseline.fit(part, found.params, seed), fold, name, found.expert.family,
            found.role, found.best_trial,
        )  # fmt: skip

    def _probabilities(self, experts: list[Expert | None], rows: Tensor) -> Tensor:
        failed = torch.full((len(rows),), torch.nan)
        margins = [failed if e is None else e.logits(self.view, rows).detach() for e in experts]
        # in double precision: in single, equal margins may get unequal probabilities by their place in the program, and
        # votes, of which many rows have the same, would not be ties
        return torch.sigmoid(torch.stack(margins).double()).float()

    def _baseline(self, method: str) -> Baseline:
        return load_own(self._own[method]) if method in self._own else load_baseline(method)

    def _tuned(self, method: str) -> TunedBaseline:
        baseline = self._baseline(method)
        found = tune_baseline(
            baseline, self.view, seed=self._seed(method, 0), trials=self.job.trials,
            floor=self._experts.floor() if baseline.fair else -math.inf, epsilon=self.job.epsilon,
            published=self.job.settings == "published",
            progress=lambda done, total: self._notify(self.job.name, f"{method} {done}/{total}", SAME),
        )  # fmt: skip
        kept = {name: getattr(found, name) for name in RECORD}
        write_json(self._path(method), {**kept, "params": dict(found.params)})
        return found

    def _recorded(self, method: str) -> TunedBaseline | None:
        """A method that was tuned by an earlier process, its chosen model fitted again; None where there is no record.

        Other trials are fitted when they are asked for.
        """
        path = self._path(method)
        if not path.exists():
            return None
        facts = json.loads(path.read_text(encoding="utf-8"))
        if set(facts) != set(RECORD):
            return None  # of an earlier version
        seed = self._fit_seed(method, facts["best_trial"] if facts["trials"] else None)
        return TunedBaseline(**facts, expert=self._baseline(method).fit(self.view, facts["params"], seed))

    def trial(self, method: str, number: int) -> Expert:
        """The model of a trial; fitted again, with the seed that it had, where this process did not fit it.

        Raises
        ------
        UnknownTrialError
            If there is no such trial, or it failed.
        """
        found = self.of(method, 0)
        if found.trials and number == found.best_trial:
            return found.expert
        row = next((row for row in found.trials if row["number"] == number), None)
        if row is None:
            raise UnknownTrialError(f"{method} has no trial {number}; it made {len(found.trials)}, counted from 0.")
        if row["state"] not in TRAINED:
            raise UnknownTrialError(f"Trial {number} of {method} failed ({row['reason']}); it has no model.")
        known = found.experts[number] if found.experts else None
        return known or self._baseline(method).fit(self.view, row["params"], self._fit_seed(method, number))

    def _fit_seed(self, method: str, trial: int | None) -> int:
        """Seed of the fit of a trial of the first repetition; None: of a method that is fitted once."""
        seed = self._seed(method, 0)
        return seed if trial is None else derive_seed(seed, "fit", trial)

    def _again(self, method: str, repeat: int) -> TunedBaseline:
        """The chosen parameters with another seed; they are on disk when the first repetition was finished before."""
        path = self._path(method)
        if (method, 0) not in self._found and path.exists():
            facts = json.loads(path.read_text(encoding="utf-8"))
        else:
            first = self.of(method, 0)
            facts = {"params": first.params, "best_trial": first.best_trial}
        baseline = self._baseline(method)
        expert = baseline.fit(self.view, facts["params"], self._seed(method, repeat))
        return TunedBaseline("result" if baseline.fair else "utility", expert, facts["params"], facts["best_trial"])

    def _seed(self, method: str, repeat: int) -> int:
        return derive_seed(self.job.seed_of(repeat), method)

    def _path(self, method: str) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{method}_{self.job.cell_key(method, 0)}.json"
