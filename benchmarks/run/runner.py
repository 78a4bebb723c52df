"""A suite from start to leaderboard: availability, plan, jobs, tracking, tables, pages."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.methods.baselines import BASELINES, load_baseline
from benchmarks.methods.own_method import is_own, load_own
from benchmarks.plan.environment import code_version, environment_hash, library_versions, source_hash
from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import Suite, method_id
from benchmarks.run.cell import Cell
from benchmarks.run.executor import Outcome, make_executor
from benchmarks.run.progress import show_progress
from benchmarks.run.time_limit import MethodTimeoutError
from foundation.files import write_json
from foundation.hashing import hash_file, hash_json


class DataUnavailableError(RuntimeError):
    """Data that a strict run needs cannot be had."""


RESULTS = "results.parquet"
WRITTEN = "written.json"
"""What the tables and pages of an output folder were written from."""


@dataclass
class RunSummary:
    """How a run of a suite ended."""

    output: Path
    jobs: int
    computed: int
    unavailable: list[dict[str, str]]
    failures: list[dict[str, Any]] = field(default_factory=list)
    tracking_error: str = ""
    pages: list[Path] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every planned cell was computed."""
        return not self.failures


def run_suite(
    suite: Suite,
    output: Path,
    *,
    workers: int,
    strict: bool,
    console: Console,
    prepare: Callable[[], None] | None = None,
) -> RunSummary:
    """Run what is not finished yet, then write tables and pages from everything that is.

    Parameters
    ----------
    suite : Suite
    output : Path
        Finished cells found here are kept; the same command goes on where a run was interrupted.
    workers : int
        Worker processes; 1 runs in this process.
    strict : bool
        Data that cannot be had is an error instead of a loud line.
    prepare : callable, optional
        Makes ready what text experts stand on; called once before the jobs, if one of them reads rows as text.
    """
    cards, unavailable = available_tasks(suite)
    for gap in unavailable:
        console.print(f"[bold red]UNAVAILABLE[/] {gap['task']}: {gap['reason']}", soft_wrap=True)
    if strict and unavailable:
        raise DataUnavailableError(
            f"--strict: {len(unavailable)} of {len(suite.all_tasks)} tasks cannot be had "
            f"({', '.join(g['task'] for g in unavailable)}); "
            "the reasons are above. Put the files where they say, or run without --strict."
        )
    jobs = list(plan(suite, cards))
    todo = [job for job in jobs if not all(folder.is_dir() for folder in cell_folders(output, job))]
    console.print(
        f"{suite.name}: {len(jobs)} jobs ({len(jobs) - len(todo)} already finished), "
        f"{workers} worker(s), output {output}"
    )
    summary = RunSummary(output, len(jobs), len(todo), unavailable)
    record = _Record(output / WRITTEN, suite, jobs, unavailable)
    standing = None if todo else record.pages(output)
    if standing is not None:
        console.print("Nothing has changed: tables and pages are those of the last run.")
        summary.pages = standing
        return summary
    if prepare is not None and any(job.llm for job in todo):
        prepare()
    _run_jobs(todo, output, workers, console, summary)
    _track(jobs, output, console, summary)
    collect(suite, jobs, output, summary)
    from reports.build import write_report

    summary.pages = write_report(output)
    if summary.ok and not summary.tracking_error:
        record.write(summary.pages, output)
    return summary


class _Record:
    """What tables and pages of an output folder were written from, so that they are not written again from the same."""

    def __init__(self, path: Path, suite: Suite, jobs: list[Job], unavailable: list[dict[str, str]]) -> None:
        cells = [job.cell_key(*cell) for job in jobs for cell in job.cells()]
        from benchmarks.tracking.mlflow_store import tracking_uri

        code = source_hash("reports", "benchmarks/run/runner.py", "benchmarks/run/cell.py", "metrics")
        self._path = path
        self._source = hash_json([suite.model_dump(mode="json"), cells, unavailable, code, tracking_uri()])

    def pages(self, output: Path) -> list[Path] | None:
        """The pages of the last run, if all is there as it was written, from the same cells, by the same code."""
        known = json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}
        if known.get("source") != self._source:
            return None
        names = [name for name, _ in known["files"]]
        if known["files"] != _digests(output, names):
            return None
        return [output / name for name in names if name != RESULTS]

    def write(self, pages: list[Path], output: Path) -> None:
        """Note the pages and the result table with their digests."""
        names = [*(str(page.relative_to(output)) for page in pages), RESULTS]
        write_json(self._path, {"source": self._source, "files": _digests(output, names)})


def _digests(output: Path, names: Iterable[str]) -> list[list[str]]:
    """Name and sha256 of every file, "" for one that is gone."""
    found = [(name, output / name) for name in names]
    return [[name, hash_file(path) if path.is_file() else ""] for name, path in found]


def available_tasks(suite: Suite) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Card hash of every task whose data can be had, and the reasons for the others."""
    from tasks.fetch import FetchError, fetch
    from tasks.registry import resolve

    cards: dict[str, str] = {}
    unavailable = []
    for task in suite.all_tasks:
        card = resolve(task).card  # an unknown name is an error of the suite, not missing data
        try:
            fetch(card)
            cards[task] = card.hash
        except FetchError as error:
            unavailable.append({"task": task, "reason": str(error)})
    return cards, unavailable


def cell_folders(output: Path, job: Job) -> list[Path]:
    """Where a job's cells are when they are finished."""
    return [job.cell_folder(output / "jobs", *cell) for cell in job.cells()]


def _run_jobs(todo: list[Job], output: Path, workers: int, console: Console, summary: RunSummary) -> None:
    if not todo:
        return
    executor = make_executor(min(workers, len(todo)))
    with show_progress(len(todo), console) as progress:
        for outcome in executor.run(todo, output / "jobs", progress.notify):
            failures = cell_failures(outcome, output)
            progress.finish(outcome.job.name, bool(failures))
            summary.failures += failures
            for failure in failures:
                what = f"{failure['job']} {failure['method']} (seed {failure['seed']})"
                reason = failure["error"].strip().splitlines()[-1]
                console.print(f"[bold red]FAILED[/] {what}: {reason}", soft_wrap=True)


def cell_failures(outcome: Outcome, output: Path) -> list[dict[str, Any]]:
    """One record per cell that an outcome left without a result; cells finished before stay finished."""
    job = outcome.job
    if outcome.error:
        missing = [cell for cell in job.cells() if not job.cell_folder(output / "jobs", *cell).is_dir()]
        cells = [(method, repeat, outcome.error) for method, repeat in missing]
    else:
        cells = [(f.method, f.repeat, f.error) for f in outcome.failures]
    return [{"job": job.name, "task": job.title, "method": m, "seed": r, "error": e} for m, r, e in cells]


def _cells(jobs: Iterable[Job], output: Path) -> list[Path]:
    return [folder for job in jobs for folder in cell_folders(output, job) if folder.is_dir()]


def _track(jobs: list[Job], output: Path, console: Console, summary: RunSummary) -> None:
    from benchmarks.tracking.mlflow_store import TrackingError, open_tracker, send_all, unsent

    folders = unsent(_cells(jobs, output))
    if not folders:
        return
    try:
        with console.status(f"sending {len(folders)} cells to MLflow"):
            send_all(open_tracker(), folders)
    except TrackingError as error:
        summary.tracking_error = str(error)
        console.print(f"[bold yellow]TRACKING[/] {error}", soft_wrap=True)


def collect(suite: Suite, jobs: list[Job], output: Path, summary: RunSummary) -> None:
    """Write the tables of all finished cells: deterministic results, and their provenance apart."""
    from benchmarks.tracking.mlflow_store import run_ids
    from reports.table import FURTHER, write_results

    cells = [Cell.load(folder) for folder in _cells(jobs, output)]
    ids = run_ids(output)
    failed = [_failure_row(failure, jobs) for failure in summary.failures]
    provenance = [_provenance(cell, ids) for cell in cells]
    write_results(
        output,
        results=[row for cell in cells for row in cell.results] + failed,
        groups=[row for cell in cells for row in cell.groups],
        routing=[row for cell in cells for row in cell.routing],
        provenance=provenance,
        further={name: [row for cell in cells for row in cell.tables.get(name, ())] for name in FURTHER},
    )
    _link_predictions(jobs, output)
    write_json(output / "suite.json", _suite_facts(suite, jobs, summary))


def _failure_row(failure: dict[str, Any], jobs: list[Job]) -> dict[str, Any]:
    """A cell that failed is a row with a status, never an absence."""
    nan, error = float("nan"), failure["error"]
    job = next(job for job in jobs if job.name == failure["job"])
    return {
        "suite": job.suite, "task": job.title, "task_hash": "", "protocol": job.protocol, "split": job.split,
        "split_hash": "", "use_sensitive": job.use_sensitive, "role": "", "family": "", "method": failure["method"],
        "seed": failure["seed"], "part": "test", "metric": "final@1", "estimate": nan, "low": nan, "high": nan,
        "null_p95": nan, "status": failure_status(error), "reason": error.strip().splitlines()[-1],
    }  # fmt: skip


def failure_status(error: str) -> str:
    """Status of a cell that was not computed: it ran out of time, or it failed."""
    return "timeout" if MethodTimeoutError.__name__ in error.strip().splitlines()[-1] else "failed"


def _provenance(cell: Cell, ids: dict[str, str]) -> dict[str, Any]:
    head = {name: cell.head[name] for name in ("suite", "task", "method", "use_sensitive", "split", "seed")}
    return {"cell": cell.key, **head, "mlflow_run_id": ids.get(cell.key, ""), **cell.cost}


def _suite_facts(suite: Suite, jobs: list[Job], summary: RunSummary) -> dict[str, Any]:
    return {
        **suite.model_dump(mode="json"),
        "methods": [method_id(method) for method in suite.methods],
        "hash": suite.hash,
        "infos": method_infos(suite),
        "asked": asked_cells(jobs),
        "llm_base": _base_hash(suite),
        "unavailable": summary.unavailable,
        "failures": summary.failures,
        "tracking_error": summary.tracking_error,
        "code_version": code_version(),
        "environment_hash": environment_hash(),
        "libraries": library_versions(),
        "python": sys.version.split()[0],
    }


def method_infos(suite: Suite) -> dict[str, dict[str, str]]:
    """What is to be said of the suite's baselines and own methods."""
    infos = {}
    for method in suite.methods:
        if is_own(method) or method in BASELINES:
            baseline = load_own(method) if is_own(method) else load_baseline(method)
            words = {key: str(getattr(baseline, key)) for key in ("label", "about", "family", "reference")}
            kind = "own" if is_own(method) else "baseline"
            infos[method_id(method)] = {**words, "kind": kind, "reads": "graph" if baseline.graph else "tabular"}
    return infos


def asked_cells(jobs: list[Job]) -> list[dict[str, Any]]:
    """Every cell that the run was to compute, as one record per job."""
    return [
        {
            "task": job.title, "protocol": job.protocol, "use_sensitive": job.use_sensitive, "split": job.split,
            "cells": {str(repeat): [m for m, r in job.cells() if r == repeat] for repeat in range(job.seeds)},
        }
        for job in jobs
    ]  # fmt: skip


def _base_hash(suite: Suite) -> str:
    """What the base of the text experts was made from, for nano; other bases' weights are hashed in each run."""
    if suite.llm is None or suite.llm.base != "nano":
        return ""
    from llm_experts.bases.nano import nano_hash

    return nano_hash()


def _link_predictions(jobs: list[Job], output: Path) -> None:
    """Give every cell's predictions one flat folder (hard links where the file system has them)."""
    target = output / "predictions"
    target.mkdir(exist_ok=True)
    for folder in _cells(jobs, output):
        link = target / f"{folder.name}.parquet"
        if not link.exists():
            try:
                os.link(folder / "predictions.parquet", link)
            except OSError:  # another file system: a copy is as good
                shutil.copyfile(folder / "predictions.parquet", link)
