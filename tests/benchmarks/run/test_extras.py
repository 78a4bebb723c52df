"""What a cell can do without may fail alone: its scores are written, and it says what is missing and why."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from benchmarks.cells.cell import Cell
from benchmarks.run import scoring
from benchmarks.run.runner import run_suite
from benchmarks.run.stages import mixtures, tabular
from tests.benchmarks.conftest import tiny_suite

METHODS = ("constant", "lightgbm", "role_mixture")


def refuse(*_: object, **__: object) -> None:
    raise RuntimeError("no network\nat all")


@pytest.mark.parametrize(
    ("room", "name", "step"),
    [
        (scoring, "routing_report", "routing"),
        (scoring, "level_tables", "levels"),
        (mixtures, "save_servable", "model"),
        (tabular, "trial_columns", "trials"),
        (tabular.TabularSystem, "prepare", "asking all models together"),
        (tabular.TabularSystem, "out_of_fold", "out of fold"),
        (tabular.TabularSystem, "ways", "ways of its own to keep levels"),
    ],
)
def test_an_extra_that_fails_costs_only_itself(
    tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch, room: object, name: str, step: str
) -> None:
    monkeypatch.setattr(room, name, refuse)
    suite = tiny_suite(methods=METHODS, trials=2)
    summary = run_suite(suite, tmp_path / "run", workers=1, strict=True, console=quiet)
    assert summary.ok, summary.failures
    assert summary.lost and {(lost["step"], lost["reason"]) for lost in summary.lost} == {
        (step, "RuntimeError: no network")
    }
    table = pd.read_csv(tmp_path / "run" / "results.csv").query("part == 'test' and metric == 'dp@1'")
    assert set(table["method"]) == set(METHODS) and table["status"].isin(["ok", "degenerate"]).all()
    assert json.loads((tmp_path / "run" / "suite.json").read_text())["lost"] == summary.lost
    for lost in summary.lost:
        (cell,) = tmp_path.glob(f"run/jobs/*/cells/{lost['cell']}")
        assert "Traceback" in json.loads((cell / "cell.json").read_text())["lost"][0]["error"]


def test_what_a_failed_extra_wrote_is_taken_back(tmp_path: Path) -> None:
    cell = Cell("k", {})
    with cell.extra("model", tmp_path / "model", tmp_path / "file"):
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "half").touch()
        (tmp_path / "file").touch()
        raise ValueError("diverged")
    assert list(tmp_path.iterdir()) == []
    assert [(lost["step"], lost["reason"]) for lost in cell.lost] == [("model", "ValueError: diverged")]


def test_a_full_disk_is_no_fault_of_an_extra() -> None:
    cell = Cell("k", {})
    with pytest.raises(OSError, match="full"), cell.extra("model"):
        raise OSError(errno.ENOSPC, "full")
    assert cell.lost == []
