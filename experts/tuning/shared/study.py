"""A study in a database: asked and told in batches by any number of drivers, each trial finished once.

A driver locks the study for a moment, looks at all that is there, draws its batch in memory and writes it, all in one
transaction; so no trial is asked twice, and every draw knows what the others are at. Trials keep their numbers: one
whose driver died is tried again under its number with its parameters.
"""

from __future__ import annotations

import logging
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial
from safetensors.torch import load, save
from sqlalchemy import Connection
from torch import Tensor

from experts.tuning.shared.server import StudyServer
from experts.tuning.shared.tables import (
    Attempt,
    Finished,
    beat,
    finish,
    insert_running,
    lock_studies,
    read_attempts,
    read_weights,
)
from experts.tuning.trial_store import ResumeError, Row, TrialStore, frozen_trial
from experts.tuning.trials import Asked, Weights
from foundation.files import write_text
from foundation.hashing import hash_json

log = logging.getLogger(__name__)

TRIES = 3
"""Attempts at a trial; one whose driver died so often has failed."""
DRIVER = "driver"
"""File in the folder of trials: who this driver is, also after it was started again."""


@dataclass(frozen=True)
class Claim:
    """What a driver is to train next.

    Attributes
    ----------
    asked : list
        Seeds and trials; empty if all that is left is with other drivers.
    trial_ids : list of int
        Of Optuna's.
    finished : int
        Trials of a seed that were finished before.
    waited_for : int
        Trials that other drivers have under way.
    """

    asked: Asked
    trial_ids: list[int]
    finished: int
    waited_for: int


@dataclass(frozen=True)
class Want:
    """What is asked for: trials per seed, how many at once, and the parameters of the first ones."""

    trials: int
    batch: int
    first: Sequence[Mapping[str, Any]]


class SharedStudy:
    """The studies of a role in a database, one per seed, as one driver sees them.

    Parameters
    ----------
    server : StudyServer
    storage : RDBStorage
        Of the server, open.
    store : TrialStore
        The driver's own copy, which later stages read; it gets finished trials in their order.
    name : str
        Of the studies, without the seed; see :func:`study_name`.
    memory : callable
        From a seed to an empty study in memory with the sampler of the role.
    want : Want
    """

    def __init__(
        self,
        server: StudyServer,
        storage: RDBStorage,
        store: TrialStore,
        name: str,
        memory: Callable[[int], optuna.Study],
        want: Want,
    ) -> None:
        self._server, self._storage, self._store, self._memory, self._want = server, storage, store, memory, want
        self.driver = driver_of(store.folder)
        self._studies = {seed: server.patiently(partial(self._optuna, f"{name}-seed{seed}")) for seed in store.rows}
        self._ids = {seed: study._study_id for seed, study in self._studies.items()}
        self._seeds = {number: seed for seed, number in self._ids.items()}

    def _optuna(self, name: str) -> optuna.Study:
        return optuna.create_study(
            storage=self._storage, study_name=name, direction=self._store.direction, load_if_exists=True
        )

    @property
    def _space(self) -> dict[str, BaseDistribution]:
        return self._store.space

    def revive(self) -> None:
        """Say that own trials, begun before this driver was started again, are under way: nobody need take them."""
        self._server.patiently(self._revive)

    def _revive(self) -> None:
        with self._storage.engine.begin() as connection:
            lock_studies(connection, self._ids.values())
            own = [attempt for attempt in read_attempts(connection, self._ids.values()) if self._mine(attempt)]
            beat(connection, [attempt.trial_id for attempt in own])

    def reap(self) -> None:
        """Fail the trials of drivers that have not been heard of for the grace period, by Optuna's own rule."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            for study in self._studies.values():
                self._server.patiently(partial(optuna.storages.fail_stale_trials, study))

    def claim(self) -> Claim:
        """Ask for a batch: own trials that were begun before, then those of dead drivers, then new ones."""
        return self._server.patiently(self._claim)

    def _claim(self) -> Claim:
        with self._storage.engine.begin() as connection:
            lock_studies(connection, self._ids.values())
            tried = self._tried(read_attempts(connection, self._ids.values()))
            if self._given_up(connection, tried):
                tried = self._tried(read_attempts(connection, self._ids.values()))
            begun = {seed: self._own(places) for seed, places in tried.items()}
            if not any(begun.values()):
                begun = {seed: self._dead(places) for seed, places in tried.items()}
            left = self._want.trials - min(map(len, tried.values()))
            new = 0 if any(begun.values()) else min(self._want.batch, left)
            drawn = {seed: self._drawn(seed, places, set(begun[seed]), new) for seed, places in tried.items()}
            ids = [i for seed, own in drawn.items() for i in self._begun(connection, seed, tried[seed], own)]
        running = [tries[-1] for places in tried.values() for tries in places.values() if _runs(tries[-1])]
        return Claim(
            [(seed, trial) for seed, own in drawn.items() for trial in own],
            ids,
            min(sum(tries[-1].row is not None for tries in places.values()) for places in tried.values()),
            sum(attempt.driver != self.driver for attempt in running),
        )

    def _begun(
        self, connection: Connection, seed: int, places: Mapping[int, list[Attempt]], trials: Sequence[optuna.Trial]
    ) -> list[int]:
        """Optuna's ids of trials that this driver is at from now on: those that it was at before, or new attempts."""
        before = [places.get(trial.number, []) for trial in trials]
        if all(tries and self._mine(tries[-1]) for tries in before):
            return [tries[-1].trial_id for tries in before]
        told = [(trial.number, trial.params, tries) for trial, tries in zip(trials, before, strict=True)]
        return insert_running(connection, self._ids[seed], self.driver, told, self._space)

    def _mine(self, attempt: Attempt) -> bool:
        """Whether this driver is at it."""
        return _runs(attempt) and attempt.driver == self.driver

    def _tried(self, attempts: Sequence[Attempt]) -> dict[int, dict[int, list[Attempt]]]:
        """Seed -> number of the trial -> attempts at it.

        Raises
        ------
        ResumeError
            If a trial is missing before others: the database was set back.
        """
        found: dict[int, dict[int, list[Attempt]]] = {seed: {} for seed in self._ids}
        for attempt in attempts:
            found[self._seeds[attempt.study_id]].setdefault(attempt.place, []).append(attempt)
        for places in found.values():
            if places and max(places) >= len(places):
                raise ResumeError(
                    f"The study of {self._store.folder} in the database {self._server.name} lacks trials before its "
                    f"trial {max(places)}: it was set back or changed. Delete the study there (optuna delete-study) "
                    "and run the same command again: finished trials of the folder are brought back."
                )
        return found

    def _given_up(self, connection: Connection, tried: Mapping[int, Mapping[int, list[Attempt]]]) -> bool:
        """Let trials whose drivers died :data:`TRIES` times be failed ones; whether there are any."""
        last = [tries[-1] for places in tried.values() for tries in places.values() if len(tries) >= TRIES]
        lost = [(attempt, _lost_row(attempt)) for attempt in last if _died(attempt)]
        if lost:
            nothing = save({})
            finish(connection, [Finished(a.trial_id, frozen_trial(r, self._space), r, nothing) for a, r in lost])
        return bool(lost)

    def _own(self, places: Mapping[int, list[Attempt]]) -> list[int]:
        """Trials that this driver began before it was started again."""
        return [place for place, tries in places.items() if self._mine(tries[-1])]

    def _dead(self, places: Mapping[int, list[Attempt]]) -> list[int]:
        """Trials whose driver died, at most a batch of them."""
        return [place for place, tries in places.items() if _died(tries[-1])][: self._want.batch]

    def _drawn(self, seed: int, places: Mapping[int, list[Attempt]], begun: set[int], new: int) -> list[optuna.Trial]:
        """Trials of a study in memory that knows all that the database knows: those that were begun, and new ones."""
        study, space = self._memory(seed), self._space
        trials: list[optuna.Trial] = []
        for place in sorted(places):
            last = places[place][-1]
            if place in begun:
                study.enqueue_trial(last.params)
                trials.append(study.ask(space))
            elif last.row is not None:
                study.add_trial(frozen_trial(last.row, space))
            else:
                running = create_trial(state=TrialState.RUNNING, params=last.params, distributions=space)
                study.add_trial(running)
        for place in range(len(places), len(places) + new):
            if place < len(self._want.first):
                study.enqueue_trial(dict(self._want.first[place]))
            trials.append(study.ask(space))
        return trials

    def tell(self, rows: Mapping[int, Sequence[Row]], weights: Mapping[tuple[int, int], Weights]) -> int:
        """Tell finished trials, by seed and by (seed, number); return how many of them are taken.

        One that is with another driver by now, because this one was taken for dead, or that is finished already, is
        left out. Telling twice changes nothing. A database that was set back gets those that it has lost.
        """
        packed = {key: save({n: t.detach().contiguous() for n, t in own.items()}) for key, own in weights.items()}
        return self._server.patiently(lambda: self._tell(rows, packed))

    def _tell(self, rows: Mapping[int, Sequence[Row]], packed: Mapping[tuple[int, int], bytes]) -> int:
        with self._storage.engine.begin() as connection:
            lock_studies(connection, self._ids.values())
            tried = self._tried(read_attempts(connection, self._ids.values()))
            taken = []
            for seed, own in rows.items():
                told = [row for row in own if self._awaited(tried[seed].get(row["number"]))]
                lost = [(row["number"], row["params"], ()) for row in told if row["number"] not in tried[seed]]
                ids = {place: tries[-1].trial_id for place, tries in tried[seed].items()}
                if lost:
                    begun = insert_running(connection, self._ids[seed], self.driver, lost, self._space)
                    ids |= {place: trial_id for (place, _, _), trial_id in zip(lost, begun, strict=True)}
                taken += [
                    Finished(ids[row["number"]], frozen_trial(row, self._space), row, packed[seed, row["number"]])
                    for row in told
                ]
            if taken:
                finish(connection, taken)
        return len(taken)

    def _awaited(self, tries: Sequence[Attempt] | None) -> bool:
        """Whether a trial that was trained here is to be told: it is under way here, or unknown."""
        return tries is None or self._mine(tries[-1])

    def beat(self, trial_ids: Sequence[int]) -> None:
        """Say that trials are under way."""
        with self._storage.engine.begin() as connection:
            beat(connection, trial_ids)

    def push(self) -> None:
        """Bring to the database what the folder knows and it does not: trials of a run that lay in files before.

        Raises
        ------
        ResumeError
            If both know a trial, and not the same one.
        """
        if self._store.count:
            self._server.patiently(self._push)

    def _push(self) -> None:
        with self._storage.engine.begin() as connection:
            lock_studies(connection, self._ids.values())
            tried = self._tried(read_attempts(connection, self._ids.values()))
            for seed, places in tried.items():
                lacking = [row for row in self._store.rows[seed] if not _known(places, row, self._store.folder)]
                if not lacking:
                    continue
                told = [(row["number"], row["params"], places.get(row["number"], [])) for row in lacking]
                ids = insert_running(connection, self._ids[seed], self.driver, told, self._space)
                finish(connection, [
                    Finished(i, frozen_trial(row, self._space), row, save(self._store.weights(seed, row["number"])))
                    for i, row in zip(ids, lacking, strict=True)
                ])  # fmt: skip

    def pull(self) -> dict[str, int]:
        """Append what is finished to the folder, as far as no trial before is missing; return trials by driver."""
        attempts = self._server.patiently(self._read)
        tried, count = self._tried(attempts), self._store.count
        until = count
        while all(until in places and places[until][-1].row is not None for places in tried.values()):
            until += 1
        if until > count:
            wanted = {(seed, place): tried[seed][place][-1] for seed in tried for place in range(count, until)}
            packed = self._server.patiently(lambda: self._weights([each.trial_id for each in wanted.values()]))
            rows = {seed: [_row(wanted[seed, place]) for place in range(count, until)] for seed in tried}
            learnt: dict[tuple[int, int], dict[str, Tensor]] = {
                key: load(packed[each.trial_id]) for key, each in wanted.items()
            }
            self._store.append(rows, learnt)
        return _by_driver(attempts)

    def _read(self) -> list[Attempt]:
        with self._storage.engine.connect() as connection:
            return read_attempts(connection, self._ids.values())

    def _weights(self, trial_ids: Sequence[int]) -> dict[int, bytes]:
        with self._storage.engine.connect() as connection:
            return read_weights(connection, trial_ids)


def study_name(owner: str, role: str, scope: str, settings: Mapping[str, Any], trials: int) -> str:
    """Name of a study: for people what it is of, then a hash of all that determines its trials.

    ``scope`` stands for code, data and libraries. Drivers of unlike settings therefore never meet.
    """
    return f"{owner}-{role}-{hash_json([scope, settings, trials])[:24]}"


def driver_of(folder: Path) -> str:
    """Who works in a folder of trials: the same after a restart, so that what it had begun is its own."""
    path = folder / DRIVER
    if not path.exists():
        write_text(path, f"{uuid.uuid4().hex}\n")
    return path.read_text(encoding="utf-8").strip()


def _runs(attempt: Attempt) -> bool:
    return attempt.state == TrialState.RUNNING


def _died(attempt: Attempt) -> bool:
    """Whether nobody is at it any more, and nothing came of it."""
    return attempt.state == TrialState.FAIL and attempt.row is None


def _row(attempt: Attempt) -> Row:
    assert attempt.row is not None  # only finished ones are asked for
    return attempt.row


def _lost_row(attempt: Attempt) -> Row:
    """A trial that no driver survived."""
    return {
        "number": attempt.place, "params": attempt.params, "metrics": {}, "objective": None, "constraints": {},
        "feasible": False, "degenerate": False, "state": "FAIL", "step": 0,
        "reason": f"its driver died {TRIES} times",
    }  # fmt: skip


def _known(places: Mapping[int, list[Attempt]], row: Row, folder: Path) -> bool:
    """Whether the database has a finished trial of the folder."""
    tries = places.get(row["number"])
    if not tries:
        return False
    last = tries[-1]
    if (last.params if last.row is None else last.row) != (row["params"] if last.row is None else row):
        raise ResumeError(
            f"Trial {row['number']} in {folder} is another one than that of the same study in the database: somebody "
            "else began the study there. Tune into another folder, which gets the trials of the database, or leave "
            "--storage out."
        )
    return last.row is not None


def _by_driver(attempts: Sequence[Attempt]) -> dict[str, int]:
    found: dict[str, int] = {}
    for attempt in attempts:
        found[attempt.driver] = found.get(attempt.driver, 0) + 1
    return dict(sorted(found.items()))
