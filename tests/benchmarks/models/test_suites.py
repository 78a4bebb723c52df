"""Every method of the suites default, graph and full, as a run makes it: raw test rows get what the run stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from benchmarks.models import load_model, save_model
from benchmarks.plan.job import Job
from benchmarks.plan.suite import Suite, load_suite
from benchmarks.run import compute, scoring
from benchmarks.run.failure import Failure
from benchmarks.run.runner import run_suite
from benchmarks.run.stages.maker import Maker
from experts.expert import Expert
from tasks.fetch import fetch
from tasks.frame import read_tables
from tasks.task import Task
from tests.benchmarks.conftest import TINY

Found = dict[str, float]


def saving(folder: Path, found: Found) -> Callable[..., list[Failure]]:
    """``write_cells`` that also saves each expert, reads it, and compares its probabilities with those of the cell."""

    def write_cells(
        job: Job, task: Task, maker: Maker, repeat: int, experts: dict[str, Expert], runs: Path, notify: Any
    ) -> list[Failure]:
        failures = scoring.write_cells(job, task, maker, repeat, experts, runs, notify)
        raw = read_tables(task.card, fetch(task.card, roles=("table",)))
        for method, expert in experts.items():
            table = pd.read_parquet(job.cell_folder(runs, method, repeat) / "predictions.parquet")
            stored = table.query("part == 'test'").set_index("row")["probability"]
            save_model(expert, maker.view, folder / method, method=method, origin={})
            model = load_model(folder / method)
            rows = raw.iloc[task.rows.numpy() if model.needs_graph else stored.index]
            edges = task.edges if model.needs_graph else None
            said = pd.Series(model.predict_proba(rows, edges, unknown="missing")[:, 1], index=rows.index)
            found[method] = float((said[stored.index] - stored).abs().max())
        return failures

    return write_cells


def re_predicted(suite: Suite, folder: Path, console: Console, patch: pytest.MonkeyPatch) -> Found:
    """Largest difference by method between what is read and what the run stored, in float32, of test rows."""
    found: Found = {}
    patch.setattr(compute, "write_cells", saving(folder / "models", found))
    summary = run_suite(suite, folder / "run", workers=1, strict=True, console=console)
    assert summary.ok, summary.failures
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["default", "graph", "full"])
def test_every_method_of_a_suite(name: str, tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"tasks": ("german",), "splits": 1, "seeds": 1, "trials": 2, "batch": 2, "folds": 2, "budget": TINY}
    suite = load_suite(name, text=False, **changes, fair_trials=2, bag_folds=2, use_sensitive=("keep",))
    found = re_predicted(suite, tmp_path, quiet, monkeypatch)
    assert set(found) == set(suite.methods)
    assert {method: gap for method, gap in found.items() if gap > 1e-6} == {}
