"""Stage 1 alone: the experts of one data set, on validation rows, tracked like any cell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import load_settings
from benchmarks.run.cell import Cell
from benchmarks.run.progress import show_progress
from experts.expert import ROLES, Role
from foundation.files import atomic_path, write_json
from foundation.hashing import hash_json

if TYPE_CHECKING:
    from experts.tuning.tuned import Tuned
    from tasks.task import TaskView


def run_tuning(
    dataset: str, output: Path, console: Console, *, split: int, use_sensitive: str, **settings: Any
) -> Path:
    """Tune the three roles of one data set, print what came out, send it to the tracker.

    Returns
    -------
    Path
        The folder with the results files.
    """
    from benchmarks.methods.networks import Tunings
    from benchmarks.run.ledger import Ledger
    from tasks.load import load_task
    from tasks.registry import resolve

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
    with show_progress(1, console) as progress:
        tunings = Tunings(job, view, home / "tune", Ledger(home / "timing.json"), progress.notify)
        tunings.plan([(role, "mlp") for role in ROLES])
    tunings.summarise()
    best = {role: tunings.of(role, 0) for role in ROLES}
    console.print(_table(view.name, job.space, best))
    for tuning in best.values():
        if tuning.note:
            console.print(f"[bold yellow]NOTE[/] {tuning.role}: {tuning.note}", soft_wrap=True)
    _track(job, view, best, home, console)
    console.print(f"results: {home / 'tune'}\nnext: fairmoe bench quick --task {dataset}", soft_wrap=True)
    return home / "tune"


def _table(name: str, space: str, tunings: dict[Role, Tuned]) -> Table:
    table = Table(title=f"{name}: chosen on validation rows ({space} space)")
    for column in ("expert", "trial", "utility", "fair_res", "fair_proc", "parameters"):
        table.add_column(column)
    for role, tuning in tunings.items():
        metrics = [tuning.best_metrics.get(f"{m}@1") for m in ("utility", "fair_res", "fair_proc")]
        numbers = ["–" if m is None else f"{m:.4f}" for m in metrics]
        params = ", ".join(f"{k} {v:.3g}" for k, v in tuning.best_params.items())
        table.add_row(role, str(tuning.best_trial), *numbers, params)
    return table


def _track(job: Job, view: TaskView, tunings: dict[Role, Tuned], home: Path, console: Console) -> None:
    from benchmarks.tracking.mlflow_store import TrackingError, open_tracker, send_all, unsent

    folders = [_validation_cell(job, view, role, tuning, home / "cells") for role, tuning in tunings.items()]
    try:
        left = unsent(folders)
        if left:
            send_all(open_tracker(), left)
    except TrackingError as error:
        console.print(f"[bold yellow]TRACKING[/] {error}", soft_wrap=True)


def _validation_cell(job: Job, view: TaskView, role: Role, tuning: Tuned, folder: Path) -> Path:
    """A tuned role as a cell with validation rows only: test rows stay untouched."""
    from benchmarks.run.stages import trial_columns, tuning_curves

    cell = Cell(
        hash_json([job.key, "tune", role])[:24],
        {
            "suite": job.suite, "task": job.title, "task_hash": view.hash, "protocol": job.protocol, "split": job.split,
            "split_hash": view.split.hash, "use_sensitive": job.use_sensitive, "seed": 0, "method": role, "role": role,
            "family": "mlp",
        },
        params={**tuning.best_params, "trials": job.trials, "space": job.space, "best_trial": tuning.best_trial},
        stages=tuning_curves(tuning),
    )  # fmt: skip
    nan = float("nan")
    for metric, value in tuning.best_metrics.items():
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
            write_json(temporary / "trials.json", trial_columns(tuning))
            cell.save(temporary)
    return folder / cell.key
