"""Where the time of a run went."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.run.telling.ledger import Ledger
from benchmarks.run.telling.stage_times import stage_seconds, stage_table


def test_own_seconds_are_summed_by_stage(tmp_path: Path) -> None:
    entries = {
        "tune utility": 5.0, "tune utility (all seeds)": 5.0, "method mixture": 9.0, "method mixture (seed 0)": 1.0,
        "bag gbdt_utility (seed 0)": 3.0, "refit lightgbm (seed 0)": 2.0, "score (seed 0)": 0.5, "score (seed 1)": 0.25,
        "method llm_base (seed 0)": 4.0, "tune text utility lora (seed 0)": 6.0, "out of fold mlp (all seeds)": 7.0,
        "text out of fold (seed 0)": 1.0, "something (seed 0)": 0.125,
    }  # fmt: skip
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(json.dumps(entries))
    found = stage_seconds([tmp_path / "one.json", tmp_path / "two.json", tmp_path / "absent.json"])
    assert found == {
        "tune experts": 10.0, "out-of-fold outputs": 14.0, "bag members": 6.0, "fit methods": 2.0,
        "refit on folds": 4.0, "score": 1.5, "text experts": 22.0, "other": 0.25,
    }  # fmt: skip
    console = Console(file=io.StringIO(), width=100)
    console.print(stage_table(found))
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "text experts" in said and "100%" in said and f"{sum(found.values()):.1f}" in said


def test_nothing_is_counted_twice(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "timing.json")
    with ledger.clock("score", seed=0), ledger.clock("refit a", seed=0):
        pass
    with ledger.clock("score", seed=0):
        pass
    seconds = stage_seconds([tmp_path / "timing.json"])
    assert sum(seconds.values()) == pytest.approx(ledger.seconds["score"], rel=1e-6)
