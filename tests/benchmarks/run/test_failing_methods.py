"""Methods that raise on one task, take too long, or say nan: the page tells, and only they run again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from optuna.distributions import FloatDistribution
from rich.console import Console
from typer.testing import CliRunner, Result

from benchmarks.cli import app
from benchmarks.run.runner import run_suite
from tests.benchmarks.conftest import tiny_suite

WILD = ("lr", "weight_decay")

METHODS = """
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

BROKEN = Path(__file__).with_name("broken")  # the same bytes before and after it is mended


class Raises(LogisticRegression):
    def fit(self, X, y):
        if BROKEN.exists() and len(X) > 500:
            raise RuntimeError("no luck with so many rows")
        return super().fit(X, y)


class Sleeps(LogisticRegression):
    def fit(self, X, y):
        if BROKEN.exists() and len(X) > 500:
            time.sleep(60)
        return super().fit(X, y)


class Lost:
    def fit(self, X, y):
        self.share = float(np.mean(y))
        return self

    def predict_proba(self, X):
        share = np.full(len(X), np.nan if BROKEN.exists() else self.share)
        return np.stack([1 - share, share], 1)
"""

SUITE = """
name = "small"
tasks = ["scm", "scm@400"]
splits = 1
trials = 1
batch = 1
method_seconds = 3
methods = ["constant", "{file}:Raises", "{file}:Sleeps", "{file}:Lost"]
budget = {{ steps = 20, eval_every = 20, warm_up = 0, rungs = [] }}
"""

REASONS = {
    ("own.Raises", "scm"): ("failed", "no luck with so many rows"),
    ("own.Sleeps", "scm"): ("timeout", "took longer than 3 s (method_seconds of the suite)"),
    ("own.Lost", "scm"): ("failed", "predictions are not probabilities"),
    ("own.Lost", "scm@400"): ("failed", "predictions are not probabilities"),
}


def bench(folder: Path) -> Result:
    return CliRunner().invoke(
        app, ["bench", str(folder / "small.toml"), "--output", str(folder / "out"), "--jobs", "1"]
    )


def finished(folder: Path) -> dict[str, int]:
    """Finished cells and when they were written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("out/jobs/*/cells/*/cell.json")}


def test_each_failure_is_a_row_with_its_reason_and_only_failures_run_again(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(METHODS)
    (tmp_path / "broken").touch()
    (tmp_path / "small.toml").write_text(SUITE.format(file=file))

    done = bench(tmp_path)
    assert done.exit_code == 1, (done.output, done.exception)
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    failed = table[table["status"].isin(["failed", "timeout"])].set_index(["method", "task"])
    assert set(failed.index) == set(REASONS)
    page = (tmp_path / "out" / "leaderboard.html").read_text()
    for cell, (status, reason) in REASONS.items():
        assert failed.loc[cell, "status"] == status
        assert reason in failed.loc[cell, "reason"]
        assert reason in page
        assert pd.isna(failed.loc[cell, "estimate"])
    before = finished(tmp_path)
    assert len(before) == 8 - len(REASONS)

    (tmp_path / "broken").unlink()
    again = bench(tmp_path)
    assert again.exit_code == 0, (again.output, again.exception)
    after = finished(tmp_path)
    assert len(after) == 8 and before.items() <= after.items()  # what was finished was not touched
    assert not pd.read_csv(tmp_path / "out" / "results.csv")["status"].isin(["failed", "timeout"]).any()


@pytest.mark.parametrize(
    "task", ["scm@60", pytest.param("adult:sex+race@60", marks=[pytest.mark.data, pytest.mark.slow])]
)
def test_an_expert_that_cannot_be_tuned_fails_only_what_stands_on_it(task: str, tmp_path: Path, quiet: Console) -> None:
    """Fifteen validation rows give no gap, so no fair role; nothing else needs one."""
    able, unable = {"constant", "lightgbm", "utility"}, {"result", "result_lambda0", "uniform", "reweighing"}
    suite = tiny_suite(tasks=(task,), methods=(*sorted(able), *sorted(unable)), trials=2)
    summary = run_suite(suite, tmp_path, workers=1, strict=False, console=quiet)
    assert not summary.ok
    table = pd.read_csv(tmp_path / "results.csv")
    failed = table[table["status"] == "failed"].set_index("method")
    assert set(failed.index) == unable
    assert set(table["method"]) - unable == able
    for method in ("result", "result_lambda0", "uniform"):
        assert "trials of the result role" in failed.loc[method, "reason"]
    assert "fair_res@1" in failed.loc["reweighing", "reason"]  # its own: it is tuned for the gap too
    assert summary.computed == 1 and (tmp_path / "leaderboard.md").exists()


def test_without_a_utility_expert_what_knows_no_floor_is_made(
    tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A learning rate beyond all measure: the networks diverge, for real."""
    monkeypatch.setattr(
        "experts.tuning.networks.search_space", lambda *_: {k: FloatDistribution(1e38, 3e38) for k in WILD}
    )
    suite = tiny_suite(methods=("constant", "lightgbm", "reweighing", "utility", "uniform"), trials=2)
    run_suite(suite, tmp_path, workers=1, strict=False, console=quiet)
    table = pd.read_csv(tmp_path / "results.csv")
    assert set(table[table["status"] == "failed"]["method"]) == {"reweighing", "utility", "uniform"}
    assert {"constant", "lightgbm"} <= set(table["method"])
    levels = pd.read_csv(tmp_path / "levels.csv", dtype={"level": str})
    assert "half" not in set(levels["level"])  # a share of a gap that is not known
