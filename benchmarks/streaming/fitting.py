"""The methods of a job on a stored table: networks and boosted trees, trained from files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from benchmarks.methods.baselines.constant import Constant
from benchmarks.methods.method import network_name
from benchmarks.plan.job import Job
from benchmarks.run.stages.baselines import Baselines
from benchmarks.run.stages.curves import Searched
from benchmarks.run.stages.tuned_experts import TunedExperts
from benchmarks.run.telling.ledger import Ledger
from benchmarks.streaming.methods import CONSTANT, TREES, network_of
from experts.expert import Expert
from experts.families.registry import PLAIN
from experts.networks.stored_rows import StoredNetwork
from experts.trees.booster import TreeModel
from experts.tuning.network_tuner import NetworkTuner
from foundation.files import atomic_path
from foundation.progress import Tell
from tasks.stored.table import StoredTable
from tasks.task import TaskView

TUNING_ROWS, TUNING_VALUES = 100_000, 30_000_000
"""Training rows, stratified, on which trials of boosted trees are fitted, and the most features of all of them.

The chosen trial is fitted on all training rows.
"""


class StoredMethods:
    """The methods of a job, each made when it is first asked for.

    Parameters
    ----------
    job : Job
    table : StoredTable
    home : Path
        The job's folder: studies, records of baselines and trees are kept there.
    ledger : Ledger
    tell : callable
    """

    def __init__(self, job: Job, table: StoredTable, home: Path, ledger: Ledger, tell: Tell) -> None:
        self._job, self._table, self._home, self._ledger, self._tell = job, table, home, ledger, tell

    def make(self, method: str, repeat: int) -> Expert:
        """The fitted model of a method in a repetition; raises what its tuning raised."""
        with self._ledger.clock(f"method {method}", seed=repeat):
            if method == CONSTANT:
                return self._constant()
            if method in TREES:
                return self._booster(method, repeat)
            expert: Expert = self._tuned(method, repeat).expert
            return expert

    def role(self, method: str) -> str:
        """The role under which it is listed."""
        network = network_of(method)
        return "baseline" if network is None else network[0]

    def chosen(self, method: str, repeat: int) -> dict[str, Any]:
        """Parameters of the chosen trial, for the tracker's table; empty for what is not tuned."""
        if method == CONSTANT:
            return {}
        if network_of(method) is None:
            found = self._baselines.of(method, repeat)
            return {**found.params, "best_trial": found.best_trial, "feasible": found.feasible}
        tuned = self._tuned(method, repeat)
        return {**tuned.best_params, "best_trial": tuned.best_trial, "feasible": tuned.feasible}

    def searched(self, method: str) -> Searched | None:
        """The study of a method; None for one that was not tuned."""
        if method == CONSTANT:
            return None
        return self._baselines.of(method, 0) if network_of(method) is None else self._tuned(method, 0)

    def seconds(self, method: str, repeat: int) -> float:
        """What the model took in a repetition, by itself and for its study."""
        network = network_of(method)
        tuning = () if network is None else (f"{'repeat' if repeat else 'tune'} {network_name(*network)}",)
        return self._ledger.total((f"method {method}", *tuning), repeat)

    def _constant(self) -> Constant:
        """That of the share of class 1 among all training rows."""
        share = float(self._table.labels[self._table.rows_of("train")].mean())
        return Constant(float(torch.logit(torch.tensor(share, dtype=torch.float64))))

    def _booster(self, method: str, repeat: int) -> Expert:
        """The chosen parameters of boosted trees, fitted on all training rows; with few rows, the chosen trial."""
        if network_of(method) is None:
            known: Any = self._baselines.of(method, repeat).expert
            settings, seed = known.settings, known.seed
        else:
            tuned = self._tuned(method, repeat)
            known, settings, seed = tuned.expert, tuned.best_params, tuned.fit_seed
        expert: Expert = dataclasses.replace(known, model=self._whole(method, repeat, settings, seed))
        return expert

    def _whole(self, method: str, repeat: int, settings: Mapping[str, Any], seed: int) -> TreeModel:
        """Trees of all training rows, from the disk where they were fitted before."""
        from experts.trees.stored_rows import fit_stored  # LightGBM is loaded only where trees are asked for

        folder = self._home / "whole" / f"{method}_{self._job.cell_key(method, repeat)}"
        if not folder.is_dir():
            with atomic_path(folder) as temporary:
                temporary.mkdir(parents=True)
                fit_stored(self._table, settings, seed, tell=self._tell).write(temporary)
        return TreeModel.read(folder)

    def _tuned(self, method: str, repeat: int) -> Any:
        network = network_of(method)
        assert network is not None  # asked by the caller
        role, family = network
        return (self._networks if family == PLAIN else self._trees).of(role, repeat, family)

    @cached_property
    def _networks(self) -> TunedExperts:
        """Roles of networks, whose training rows come from the files."""
        tuner = NetworkTuner(lambda _: StoredNetwork(self._table))
        return self._experts(self._table.sample.view(), {PLAIN: tuner})

    @cached_property
    def _trees(self) -> TunedExperts:
        return self._experts(self._sample, {})

    def _experts(self, view: TaskView, tuners: Mapping[str, Any]) -> TunedExperts:
        return TunedExperts(self._job, view, self._home / "tune", self._ledger, _silent, tuners=tuners)

    @cached_property
    def _baselines(self) -> Baselines:
        home = self._home / "baselines"
        return Baselines(self._job, self._sample, home, self._networks, self._tried, from_records=True)

    @cached_property
    def _sample(self) -> TaskView:
        """What trees are tuned on."""
        return self._table.tuning_view(min(TUNING_ROWS, TUNING_VALUES // len(self._table.encoder.feature_names)))

    def _tried(self, job: str, stage: str, share: float) -> None:  # noqa: ARG002 - a Notify
        """Trials of a baseline, which says "lightgbm 2/6"."""
        method, _, counts = stage.rpartition(" ")
        done, _, total = counts.partition("/")
        self._tell(f"tune {method}", int(done), int(total))


def _silent(job: str, stage: str, share: float) -> None:
    """Nothing: the ledger tells how far a study is."""
