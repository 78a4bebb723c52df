"""Trials on disk: a batch of trials is either whole or absent, and a killed study goes on from the last whole one.

Two records are kept. ``batches/0000/`` and so on hold what a batch of lanes produced (rows and weights), written
to a temporary name and renamed. ``journal.log`` is the same history as an Optuna journal, which any Optuna tool
opens. The batch is written first; what the journal lacks after a kill is appended when the store is opened.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from foundation.files import atomic_path, write_json

Direction = Literal["minimize", "maximize"]
Row = dict[str, Any]
"""One trial: number, params, metrics, objective, constraints, feasible, degenerate, state, reason, step."""
WEIGHTS, TRIALS = "weights.safetensors", "trials.json"
"""Files of a batch."""
DRIVERS = "drivers.json"
"""Of a study in a database: driver -> trials that it began; absent where trials lie in the folder alone."""


class ResumeError(RuntimeError):
    """A folder holds trials that were made under other settings, or that have lost their weights."""


def frozen_trial(row: Row, space: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """The Optuna record of a row; a pruned trial keeps its objective as the value at its last step."""
    objective = row["objective"]
    return create_trial(
        state=TrialState[row["state"]],
        value=objective if row["state"] == "COMPLETE" else None,
        params=row["params"],
        distributions=dict(space),
        intermediate_values={} if objective is None else {row["step"]: objective},
        constraints=row["constraints"],
        user_attrs={key: row[key] for key in ("metrics", "reason", "step")},
    )


def drop_torn_line(journal: Path) -> None:
    """Cut what a killed process left after the last whole line: an append would merge with it and spoil both."""
    if not journal.exists():
        return
    with journal.open("rb+") as file:
        data = file.read()
        file.truncate(data.rfind(b"\n") + 1)


def journal_lock(journal: Path) -> JournalFileOpenLock:
    """Lock of a journal; what a killed writer left is freed after three seconds without a sign of life.

    The lock is a file: Optuna's default one is a link, which leads nowhere if the journal's path was relative or its
    folder was moved, and a link that leads nowhere is never found stale (optuna#5921). One that lies here is removed.
    """
    lock = journal.with_name(f"{journal.name}.lock")
    if lock.is_symlink() and not lock.exists():
        lock.unlink(missing_ok=True)
    return JournalFileOpenLock(str(journal.absolute()), grace_period=3)


class TrialStore:
    """The finished trials of one role, for one or several seeds that were tuned together.

    Parameters
    ----------
    folder : Path
        Made if absent; has one writer at a time.
    settings : mapping
        Everything that determines the trials, JSON-able; a resume under other settings is refused.
    seeds : sequence of int
        One study each.
    space : mapping
        Search space of every study.
    direction : str
        ``minimize`` or ``maximize``.
    reading : bool
        Whether the trials are only looked at: nothing is written, and any number of processes may do so at a time.

    Raises
    ------
    ResumeError
        If the folder was made under other settings, or its journal knows trials whose weights are gone.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        seeds: Sequence[int],
        space: Mapping[str, BaseDistribution],
        direction: Direction,
        *,
        reading: bool = False,
    ) -> None:
        self.folder, self.space, self.direction = folder, dict(space), direction
        self._batches = folder / "batches"
        self._batches.mkdir(parents=True, exist_ok=True)
        _check_settings(folder / "settings.json", settings)
        for leftover in () if reading else self._batches.glob(".*.tmp"):
            shutil.rmtree(leftover)
        self.rows: dict[int, list[Row]] = {seed: [] for seed in seeds}
        self._place: dict[int, Path] = {}
        self._known = 0  # batches
        for batch in sorted(path for path in self._batches.iterdir() if path.suffix != ".tmp"):
            self._remember(batch, batch_rows(batch))
        if not reading:
            self._open_journal(folder / "journal.log")

    def _open_journal(self, path: Path) -> None:
        drop_torn_line(path)
        storage = JournalStorage(JournalFileBackend(str(path.absolute()), journal_lock(path)))
        self._studies = {seed: self._study(storage, seed) for seed in self.rows}
        for seed, study in self._studies.items():
            known, rows = len(study.trials), self.rows[seed]
            if known > len(rows):
                raise ResumeError(
                    f"The journal {path} knows {known} trials of seed {seed}, but weights of {len(rows)} only are in "
                    f"{self._batches}: files were removed. Delete the folder {path.parent} to tune again."
                )
            study.add_trials(frozen_trial(row, self.space) for row in rows[known:])

    def _study(self, storage: JournalStorage, seed: int) -> optuna.Study:
        return optuna.create_study(
            storage=storage, study_name=f"seed-{seed}", direction=self.direction, load_if_exists=True
        )

    def _remember(self, batch: Path, rows: Mapping[int, list[Row]]) -> None:
        self._known += 1
        for seed, new in rows.items():
            self.rows[seed].extend(new)
            self._place.update((row["number"], batch / WEIGHTS) for row in new)

    @property
    def drivers(self) -> int:
        """How many drivers asked for the trials; with more than one their order is not reproducible."""
        path = self.folder / DRIVERS
        return len(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else 1

    def finished(self, seed: int) -> list[FrozenTrial]:
        """Trials of the journal, in order; the history that a resumed study starts from."""
        return self._studies[seed].get_trials(deepcopy=False)

    @property
    def count(self) -> int:
        """Finished trials per seed."""
        return min(len(rows) for rows in self.rows.values())

    def append(self, rows: Mapping[int, list[Row]], weights: Mapping[tuple[int, int], Mapping[str, Tensor]]) -> None:
        """Store a batch: ``rows`` by seed, ``weights`` by (seed, trial number); first the batch, then the journal."""
        batch = self._batches / f"{self._known:04d}"
        if batch.exists():
            raise ResumeError(
                f"{batch} was written by another process since this one began: two runs tune "
                f"into {self._batches.parent}. End one of them; the same command then goes on from what is there."
            )
        write_batch(batch, rows, weights)
        self._remember(batch, rows)
        for seed, new in rows.items():
            self._studies[seed].add_trials(frozen_trial(row, self.space) for row in new)

    def weights(self, seed: int, number: int) -> dict[str, Tensor]:
        """Trained weights of one trial by tensor name."""
        return batch_weights(self._place[number], seed, number)


def write_batch(
    folder: Path, rows: Mapping[int, list[Row]], weights: Mapping[tuple[int, int], Mapping[str, Tensor]]
) -> None:
    """Write trials as a folder that is whole or absent: ``rows`` by seed, ``weights`` by (seed, trial number)."""
    tensors = {
        f"{seed}/{number}/{name}": tensor.detach().contiguous()
        for (seed, number), parameters in weights.items()
        for name, tensor in parameters.items()
    }
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        save_file(tensors, temporary / WEIGHTS)
        write_json(temporary / TRIALS, {str(seed): new for seed, new in rows.items()})


def batch_rows(folder: Path) -> dict[int, list[Row]]:
    """Trials of a batch's folder, by seed."""
    found = json.loads((folder / TRIALS).read_text(encoding="utf-8"))
    return {int(seed): rows for seed, rows in found.items()}


def batch_weights(weights: Path, seed: int, number: int) -> dict[str, Tensor]:
    """Trained weights of one trial by tensor name, from the file of its batch."""
    prefix = f"{seed}/{number}/"
    with safe_open(weights, framework="pt") as file:
        return {key.removeprefix(prefix): file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118


def _check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    wanted = json.loads(json.dumps(settings))
    if not path.exists():
        write_json(path, wanted)
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    differ = sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
    if differ:
        changes = "; ".join(f"{key}: {found.get(key)!r} there, {wanted.get(key)!r} now" for key in differ)
        raise ResumeError(
            f"The trials in {path.parent} were made under other settings ({changes}). Tune into another folder, "
            "or delete this one."
        )
