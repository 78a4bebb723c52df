"""A driver of a shared study: claim a batch, train it, tell it, until all trials are there, whoever made them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError

from experts.expert import Role
from experts.tuning.shared.server import StudyServer
from experts.tuning.shared.study import SharedStudy, Want, study_name
from experts.tuning.trial_store import DRIVERS, WEIGHTS, Row, TrialStore, batch_rows, batch_weights, write_batch
from experts.tuning.trials import Asked, Weights, memory_study
from foundation.beside import beside
from foundation.files import write_json

UNSENT = "unsent"
"""In the folder of trials: a batch that is trained, and not told to the database yet."""

Train = Callable[[Asked, int], tuple[list[Row], list[Weights]]]


def run_shared(
    server: StudyServer,
    store: TrialStore,
    role: Role,
    owner: str,
    settings: Mapping[str, Any],
    *,
    trials: int,
    batch: int,
    train: Train,
    first: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Work on the studies of a role until the store has all trials of every seed; the counterpart of files alone.

    One driver asks for the same trials as without a database. Several share them out as they come: which parameters
    are drawn then depends on who was faster. Each gets rows and weights of all, so that later stages find in its own
    folder what they would find after a run of its own.

    Parameters
    ----------
    server : StudyServer
    store : TrialStore
        Of the driver's own output folder.
    role, owner, settings
        Of the study: what tells it from others.
    trials, batch, train, first
        As :func:`experts.tuning.trials.run_batches` takes them.

    Raises
    ------
    StorageError
        If the server stays away; what was trained is in the folder, and told by the next run.
    ResumeError
        If folder and database know different trials.
    """
    name = study_name(owner, role, server.scope, settings, trials)
    with server.opened() as storage:
        study = SharedStudy(
            server, storage, store, name, lambda seed: memory_study(role, seed, min(batch, trials)),
            Want(trials, batch, first),
        )  # fmt: skip
        study.push()
        study.revive()
        _deliver(study, store.folder)
        while True:
            write_json(store.folder / DRIVERS, study.pull())
            if store.count >= trials:
                return
            study.reap()
            claim = study.claim()
            if not claim.asked:
                server.tell(f"waiting for {claim.waited_for} trials of other drivers")
                time.sleep(server.patience.poll)
                continue
            with _alive(server, study, claim.trial_ids):
                rows, weights = train(claim.asked, claim.finished)
            _keep(store, claim.asked, rows, weights)
            _deliver(study, store.folder)


def _keep(store: TrialStore, asked: Asked, rows: Sequence[Row], weights: Sequence[Weights]) -> None:
    """Write a trained batch into the folder: a database that is down does not cost it."""
    by_seed: dict[int, list[Row]] = {seed: [] for seed in store.rows}
    for (seed, _), row in zip(asked, rows, strict=True):
        by_seed[seed].append(row)
    named = {(seed, trial.number): found for (seed, trial), found in zip(asked, weights, strict=True)}
    write_batch(store.folder / UNSENT, by_seed, named)


def _deliver(study: SharedStudy, folder: Path) -> None:
    """Tell what is trained and not told; a second time it changes nothing."""
    for leftover in folder.glob(f".{UNSENT}.*.tmp"):
        shutil.rmtree(leftover)
    unsent = folder / UNSENT
    if not unsent.exists():
        return
    rows = batch_rows(unsent)
    numbers = [(seed, row["number"]) for seed, own in rows.items() for row in own]
    study.tell(rows, {(seed, n): batch_weights(unsent / WEIGHTS, seed, n) for seed, n in numbers})
    shutil.rmtree(unsent)


@contextmanager
def _alive(server: StudyServer, study: SharedStudy, trial_ids: Sequence[int]) -> Iterator[None]:
    """While the body runs, a thread says so to the database.

    Optuna's own thread does it for one trial, and only within ``Study.optimize``.
    """

    def beat() -> bool:
        with suppress(DBAPIError, StorageInternalError):  # a server that is away: telling the batch waits, and says so
            study.beat(trial_ids)
        return True

    with beside(beat, server.patience.heartbeat, "heartbeat"):
        yield
