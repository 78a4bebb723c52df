"""Stage 1 alone: the roles of one data set, on validation rows, kept like any cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cells.cell import Cell
from benchmarks.plan.job import Job, plan
from benchmarks.plan.part_shares import TIMING, PartShares
from benchmarks.plan.planned_parts import tuning_parts
from benchmarks.plan.suite import load_settings
from benchmarks.run.stages.curves import trial_columns, tuning_curves
from benchmarks.run.stages.tuned_experts import TunedExperts
from benchmarks.run.telling.ledger import Ledger
from benchmarks.run.telling.notify import Notify, PartsNotify
from experts.families.registry import PLAIN
from experts.roles import ROLES, Role
from foundation.files import atomic_path, write_json
from foundation.hashing import hash_json
from tasks.load import load_task
from tasks.registry import resolve

if TYPE_CHECKING:
    from experts.tuning.tuned import Tuned
    from tasks.task import TaskView


@dataclass(frozen=True)
class TunedRoles:
    """The tuned roles of one data set, and where they are.

    Attributes
    ----------
    name : str
        The task's.
    space : str
        Search space.
    best : mapping
        What was chosen for each role.
    folder : Path
        The result files and the best weights.
    cells : list of Path
        One cell per role, for the tracker.
    """

    name: str
    space: str
    best: Mapping[Role, Tuned]
    folder: Path
    cells: list[Path]


def tune_roles(
    dataset: str, output: Path, notify: Notify, *, split: int, use_sensitive: str, **settings: Any
) -> TunedRoles:
    """Tune the three roles of one data set; ``settings`` are those of a suite."""
    suite = load_settings(
        "fairmoe tune",
        {
            "name": "tune", "tasks": (dataset,), "methods": ROLES, "splits": split + 1,
            "use_sensitive": (use_sensitive,), **settings,
        },
    )  # fmt: skip
    job = next(job for job in plan(suite, {dataset: resolve(dataset).card.hash}) if job.split == split)
    view = load_task(
        dataset, protocol=job.protocol, split=split, seed=job.suite_seed, use_sensitive=use_sensitive
    ).view()
    home = output / "jobs" / job.folder
    told = PartsNotify(job.name, notify, PartShares(tuning_parts(job, ROLES)))
    experts = TunedExperts(job, view, home / "tune", Ledger(home / TIMING, told), told)
    experts.plan([(role, PLAIN) for role in ROLES])
    experts.summarise()
    best = {role: experts.of(role, 0) for role in ROLES}
    cells = [_cell(job, view, role, tuned, home / "cells") for role, tuned in best.items()]
    return TunedRoles(view.name, job.space, best, home / "tune", cells)


def _cell(job: Job, view: TaskView, role: Role, tuned: Tuned, folder: Path) -> Path:
    """A tuned role as a cell with validation rows only: test rows stay untouched."""
    cell = Cell(
        hash_json([job.key, "tune", role])[:24],
        {
            "suite": job.suite, "task": job.title, "task_hash": view.hash, "protocol": job.protocol, "split": job.split,
            "split_hash": view.split.hash, "use_sensitive": job.use_sensitive, "seed": 0, "method": role, "role": role,
            "family": PLAIN,
        },
        params={**tuned.best_params, "trials": job.trials, "space": job.space, "best_trial": tuned.best_trial},
        stages=tuning_curves(tuned),
    )  # fmt: skip
    nan = float("nan")
    for metric, value in tuned.best_metrics.items():
        row = {"estimate": nan if value is None else value, "low": nan, "high": nan, "null_p95": nan}
        status = (
            {"status": "ok", "reason": ""}
            if value is not None
            else {"status": "not_estimable", "reason": "on validation rows"}
        )
        cell.results.append({**cell.head, "part": "validation", "metric": metric, **row, **status})
    if not (folder / cell.key).is_dir():
        with atomic_path(folder / cell.key) as temporary:
            temporary.mkdir()
            write_json(temporary / "trials.json", trial_columns(tuned))
            cell.save(temporary)
    return folder / cell.key
