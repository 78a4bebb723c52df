"""From finished cells to what reports read: tables, the words of methods, and what the suite was."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from benchmarks.cells.cell import Cell
from benchmarks.cells.reading import read_cell
from benchmarks.methods.method import Method
from benchmarks.methods.registry import members_of, method_id, method_named
from benchmarks.plan.environment import code_version, environment_hash, library_versions
from benchmarks.plan.job import Job
from benchmarks.plan.suite import Suite
from benchmarks.run.time_limit import TIMEOUTS
from benchmarks.tracking.mlflow_store import run_ids
from foundation.discovery import facts, items
from foundation.files import write_json
from llm_experts.bases.nano import nano_hash
from reports.methods import MethodRow, write_methods
from reports.table import FURTHER, write_results
from tasks.registry import resolve


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
    lost: list[dict[str, Any]] = field(default_factory=list)
    part: dict[str, Any] = field(default_factory=dict)
    """Facts of a run that is not a whole suite of one code, for its pages (:mod:`reports.render.part_words`)."""

    @property
    def ok(self) -> bool:
        """Whether every planned cell was computed."""
        return not self.failures


def finished_cells(jobs: Iterable[Job], output: Path) -> list[Path]:
    """Folders of the jobs' cells that are finished."""
    folders = (job.cell_folder(output / "jobs", *cell) for job in jobs for cell in job.cells())
    return [folder for folder in folders if folder.is_dir()]


def collect(suite: Suite, jobs: list[Job], output: Path, summary: RunSummary) -> None:
    """Write the tables of all finished cells: deterministic results, and their provenance apart."""
    cells = [read_cell(folder) for folder in finished_cells(jobs, output)]
    summary.lost = [_lost(cell, lost) for cell in cells for lost in cell.lost]
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
    write_json(output / "suite.json", {**_suite_facts(suite, jobs, summary), **_unordered(provenance)})
    write_methods(method_rows(suite), output)


def _lost(cell: Cell, lost: dict[str, Any]) -> dict[str, Any]:
    """An extra that a finished cell is without."""
    head = {name: cell.head[name] for name in ("task", "method", "split", "seed")}
    return {"cell": cell.key, **head, "step": lost["step"], "reason": lost["reason"]}


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
    last = error.strip().splitlines()[-1]
    return "timeout" if any(name in last for name in TIMEOUTS) else "failed"


def _provenance(cell: Cell, ids: dict[str, str]) -> dict[str, Any]:
    head = {name: cell.head[name] for name in ("suite", "task", "method", "use_sensitive", "split", "seed")}
    return {"cell": cell.key, **head, "mlflow_run_id": ids.get(cell.key, ""), "order": "", **cell.cost}


def _unordered(provenance: list[dict[str, Any]]) -> dict[str, Any]:
    """Jobs with a study that several drivers asked; nothing where there are none."""
    found = {(row["task"], row["split"]) for row in provenance if row["order"]}
    return {"unordered": [list(job) for job in sorted(found)]} if found else {}


def _suite_facts(suite: Suite, jobs: list[Job], summary: RunSummary) -> dict[str, Any]:
    return {
        **suite.facts,
        "methods": [method_id(method) for method in suite.methods],
        "hash": suite.hash,
        "bias_sets": bias_sets(),
        "asked": asked_cells(jobs),
        "llm_base": _base_hash(suite),
        "sources": {job.title: resolve(job.task).card.origin for job in jobs},
        "left": _rows_that_left(jobs, summary.output),
        "unavailable": summary.unavailable,
        "failures": summary.failures,
        "lost": summary.lost,
        "tracking_error": summary.tracking_error,
        "code_version": code_version(),
        "environment_hash": environment_hash(),
        "libraries": library_versions(),
        "python": sys.version.split()[0],
        **summary.part,
    }


def _rows_that_left(jobs: list[Job], output: Path) -> dict[str, dict[str, int]]:
    """Task → why rows of its files are not in it → how many; tasks that lost none are left out."""
    left: dict[str, dict[str, int]] = {}
    for job in jobs:
        told = output / "jobs" / job.folder / "rows.json"
        if job.title not in left and told.is_file():
            left[job.title] = json.loads(told.read_text(encoding="utf-8"))["left"]
    return {task: reasons for task, reasons in left.items() if reasons}


def method_rows(suite: Suite) -> list[MethodRow]:
    """Words of the suite's methods in their order, then of the members that its mixtures weigh."""
    text, crossed = (suite.llm.methods, suite.llm.with_graph) if suite.llm else ((), False)
    methods = [method_named(name) for name in (*suite.methods, *text)]
    members = [
        member for method in methods for member in members_of(method, suite.graph_kinds, suite.families, crossed)
    ]
    return [_row(method) for method in {method.id: method for method in (*methods, *members)}.values()]


def _row(method: Method) -> MethodRow:
    return MethodRow(**{field.name: getattr(method, field.name) for field in fields(MethodRow)})


def bias_sets() -> dict[str, dict[str, Any]]:
    """Words of the language bias sets as their files say them: label, and columns as lists, because keys get sorted."""
    found = {name: facts(path, "BIAS_SET") for name, path in items("llm_experts.bias", "BIAS_SET").items()}
    return {
        name: {"label": said["label"], "columns": [[metric, *words] for metric, words in said["columns"].items()]}
        for name, said in found.items()
    }


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
    return nano_hash()


def _link_predictions(jobs: list[Job], output: Path) -> None:
    """Give every cell's predictions one flat folder (hard links where the file system has them)."""
    target = output / "predictions"
    target.mkdir(exist_ok=True)
    for folder in finished_cells(jobs, output):
        link = target / f"{folder.name}.parquet"
        if not link.exists():
            try:
                os.link(folder / "predictions.parquet", link)
            except OSError:  # another file system: a copy is as good
                shutil.copyfile(folder / "predictions.parquet", link)
