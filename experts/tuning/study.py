"""A study: ask, train, tell, store, choose and save, whatever it is that is tuned.

Networks on tables and graphs, adapters on texts and models that are fitted one by one are tuned by this one program.
What differs is said by a :class:`Subject`. An expert on texts and a tabular one that stand beside each other in a table
were therefore chosen by one rule.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from optuna.distributions import BaseDistribution
from torch import Tensor

from experts.expert import Role
from experts.networks.running import LaneOutcomes
from experts.tuning.results import save_tuned
from experts.tuning.trial_store import Row, TrialStore
from experts.tuning.trials import (
    Asked,
    Weights,
    choose,
    direction_of,
    floor_of,
    lacks,
    pareto_front,
    quiet_optuna,
    role_named,
    run_batches,
    trial_row,
)
from experts.tuning.tuned import Choice, Tuned, results_name, seed_place, unordered
from tasks.task import TaskView

if TYPE_CHECKING:
    from experts.tuning.shared import StudyServer

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""
T_co = TypeVar("T_co", bound=Tuned, covariant=True)
T = TypeVar("T", bound=Tuned)


@dataclass(frozen=True)
class Plan:
    """What every study is told.

    Attributes
    ----------
    view : TaskView
        Training rows fit the trials, validation rows choose; test rows are not touched.
    seeds : tuple of int
        One independent study each; their batches are trained together.
    trials, batch : int
        Trials per seed, and how many of them are trained at once; the first batch is drawn at random.
    floor, epsilon : float or None
        Least validation utility of a feasible trial, and how far below the utility expert's it lies.
    """

    view: TaskView
    role: Role
    seeds: tuple[int, ...]
    trials: int
    batch: int
    floor: float | None
    epsilon: float | None

    @classmethod
    def of(
        cls,
        view: TaskView,
        role: Role | str,
        seeds: Sequence[int],
        trials: int,
        batch: int,
        utility_floor: float | Tuned | None,
        epsilon: float | None,
    ) -> Plan:
        """The plan for a role or its alias.

        Parameters
        ----------
        view, role, seeds, trials, batch
        utility_floor : float or Tuned, optional
            Required for fair roles. A float is the floor itself; the tuned utility expert of the same view gives
            ``its validation utility − epsilon``.
        epsilon : float, optional
            Default 0.02 with a tuned expert; with a float it is only stated in the results.

        Raises
        ------
        ValueError
            If there is no such role, or a fair role has no floor.
        """
        name = role_named(role)
        reached = utility_floor.best_score if isinstance(utility_floor, Tuned) else None
        given = None if isinstance(utility_floor, Tuned) else utility_floor
        return cls(view, name, tuple(seeds), trials, batch, *floor_of(name, given, reached, epsilon))

    def settings(self) -> dict[str, Any]:
        """What determines the trials; the number of trials does not, so that a study can be prolonged."""
        what = {"role": self.role, "view": self.view.hash, "floor": self.floor}
        return {**what, "seeds": self.seeds, "batch": self.batch}

    def shifted(self, progress: Progress | None, finished: int) -> Progress | None:
        """The progress of one batch as that of all, after ``finished`` trials per seed."""
        if progress is None:
            return None
        batches, before = math.ceil(self.trials / self.batch), math.ceil(finished / self.batch)
        return lambda done, steps: progress(before * steps + done, batches * steps)


@dataclass(frozen=True)
class Trained:
    """A batch of trials, trained.

    Attributes
    ----------
    outcomes : LaneOutcomes
        One entry per trial.
    rarer_shares : sequence of float
        Share of validation rows in each trial's rarer predicted class.
    weights : list of mapping
        What is stored of each trial.
    constraints : sequence of mapping, optional
        What else a feasible trial must meet: name to violation, at most 0 where it does.
    """

    outcomes: LaneOutcomes
    rarer_shares: Sequence[float]
    weights: list[Weights]
    constraints: Sequence[Mapping[str, float]] | None = None


class Subject(Protocol[T_co]):
    """What a study tunes."""

    @property
    def plan(self) -> Plan:
        """What the study was told."""
        ...

    @property
    def owner(self) -> str:
        """Start of the names of all its files; see :class:`experts.tuning.tuned.Choice`."""
        ...

    def settings(self) -> dict[str, Any]:
        """What beside the plan determines the trials, JSON-able: trials made under other settings are refused."""
        ...

    def space(self) -> Mapping[str, BaseDistribution]:
        """What a trial may choose, in a fixed order."""
        ...

    def first(self) -> Sequence[Mapping[str, Any]]:
        """Parameters of the first trials of every study; what they do not name is drawn."""
        ...

    def train(self, asked: Asked, progress: Progress | None) -> Trained:
        """Train a batch of trials."""
        ...

    def tuned(self, choice: Choice, weights: Callable[[int], dict[str, Tensor]]) -> T_co:
        """The record of a seed; ``weights`` gives what was stored of a trial, by its number."""
        ...


def run_study(
    subject: Subject[T], folder: Path, progress: Progress | None = None, server: StudyServer | None = None
) -> list[T]:
    """Tune: the chosen trials of all seeds, their files written.

    Parameters
    ----------
    subject : Subject
    folder : Path
        Gets the results, the chosen experts and the trials so far; the same call with the same folder goes on after a
        kill and ends in the same numbers. Several seeds: results in ``seed_<n>`` below it. A study whose results are
        there is only read, by any number of processes at a time.
    progress : callable, optional
        Called with (steps done, steps in all).
    server : StudyServer, optional
        A database in which several drivers, each with a folder of its own, work on the study; default: it lies in the
        folder alone. One driver comes to the same trials either way.

    Returns
    -------
    list
        In the order of the seeds.

    Raises
    ------
    TuningError
        If every trial of a seed failed; the text gives the reasons.
    ResumeError
        If the folder was made under other settings.
    StorageError
        If the database of the server stays away.
    """
    plan, space = subject.plan, subject.space()
    settings = {**plan.settings(), **subject.settings()}
    place = folder / f"{subject.owner}_{plan.role}_trials"
    stored = place, settings, plan.seeds, space, direction_of(plan.role)
    known = [folder / seed_place(plan.seeds, seed) / results_name(subject.owner, plan.role) for seed in plan.seeds]
    if all(path.exists() for path in known):  # written last of all
        store = TrialStore(*stored, reading=True)
        if store.count >= plan.trials:
            return [_conclude(subject, store, seed) for seed in plan.seeds]
    with quiet_optuna():
        store = TrialStore(*stored)

        def train(asked: Asked, finished: int) -> tuple[list[Row], list[Weights]]:
            return _train(subject, asked, plan.shifted(progress, finished))

        wanted: Any = {"trials": plan.trials, "batch": plan.batch, "train": train, "first": subject.first()}
        if server is None:
            run_batches(store, plan.role, space, **wanted)
        else:
            from experts.tuning.shared import run_shared  # a database's libraries, only where there is one

            run_shared(server, store, plan.role, subject.owner, settings, **wanted)
    found = [_conclude(subject, store, seed) for seed in plan.seeds]
    for tuned in found:
        save_tuned(tuned, folder)
    return found


def _train(subject: Subject[T], asked: Asked, progress: Progress | None) -> tuple[list[Row], list[Weights]]:
    """Rows and weights of a batch of trials."""
    plan, trained = subject.plan, subject.train(asked, progress)
    found = trained.outcomes
    rows = [
        trial_row(
            trial,
            plan.role,
            metrics=found.metrics[place],
            objective=found.objective[place],
            state=found.state[place],
            reason=found.reason[place],
            step=int(found.step[place]),
            rarer_share=trained.rarer_shares[place],
            floor=plan.floor,
            further=None if trained.constraints is None else trained.constraints[place],
        )
        for place, (_, trial) in enumerate(asked)
    ]
    return rows, trained.weights


def _conclude(subject: Subject[T], store: TrialStore, seed: int) -> T:
    plan, rows = subject.plan, store.rows[seed]
    best, note = choose(rows, plan.role, plan.floor, lacks(plan.view, plan.role))
    if note:
        log.warning("%s, %s role: %s", subject.owner, plan.role, note)
    if store.drivers > 1:
        log.warning("%s, %s role: %s", subject.owner, plan.role, unordered(store.drivers))
    choice = Choice(
        role=plan.role,
        dataset=plan.view.name,
        owner=subject.owner,
        seed=seed,
        best_trial=best["number"],
        best_params=best["params"],
        best_metrics=best["metrics"],
        best_score=best["objective"],
        step=best["step"],
        trials=rows,
        pareto=pareto_front(rows, plan.role),
        floor=plan.floor,
        epsilon=plan.epsilon,
        feasible=best["feasible"],
        note=note,
        drivers=store.drivers,
        view_hash=plan.view.hash,
        place=seed_place(plan.seeds, seed),
    )
    return subject.tuned(choice, lambda number: store.weights(seed, number))
