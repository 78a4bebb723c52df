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
from benchmarks.run.notify import SAME, Notify
from benchmarks.run.stages.tuned_experts import TunedExperts
from experts.bagging import Bag, bag_fit, bag_name
from foundation.files import write_json
from foundation.seeding import derive_seed

if TYPE_CHECKING:
    from benchmarks.methods.baseline import Baseline
    from benchmarks.plan.job import Job
    from experts.expert import Expert
    from tasks.task import TaskView


class Baselines:
    """Methods that are neither experts nor mixtures of them, each made when it is first asked for."""

    def __init__(self, job: Job, view: TaskView, folder: Path, experts: TunedExperts, notify: Notify) -> None:
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
            self._found[method, repeat] = self._tuned(method) if repeat == 0 else self._again(method, repeat)
        return self._found[method, repeat]

    def trained(self, method: str) -> Trained | None:
        """Probabilities of every trial of a tuned method; None for one that was fitted once."""
        experts = self.of(method, 0).experts
        if not experts:
            return None
        validation, test = self.view.split.validation, self.view.split.test
        return Trained(self._probabilities(experts, validation), self._probabilities(experts, test))

    def bag(self, method: str, fold: Tensor) -> Bag:
        """The chosen parameters of the first repetition, fitted again without each fold [n] of the bag's rows."""
        found, baseline = self.of(method, 0), self._baseline(method)
        seed = derive_seed(self._seed(method, 0), "fit", found.best_trial) if found.trials else self._seed(method, 0)
        name = bag_name(found.expert.family, found.role, found.best_trial)
        return bag_fit(
            self.view, lambda part: baseline.fit(part, found.params, seed), fold, name, found.expert.family,
            found.role, found.best_trial,
        )  # fmt: skip

    def _probabilities(self, experts: list[Expert | None], rows: Tensor) -> Tensor:
        failed = torch.full((len(rows),), torch.nan)
        margins = [failed if e is None else e.logits(self.view, rows).detach() for e in experts]
        return torch.sigmoid(torch.stack(margins))

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
        write_json(self._path(method), {"params": dict(found.params), "best_trial": found.best_trial})
        return found

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
