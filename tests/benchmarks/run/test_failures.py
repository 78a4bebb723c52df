"""What goes wrong is a row, a loud line or one paragraph, and never stops the rest."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from benchmarks.cli import app
from benchmarks.methods.baseline import Params
from benchmarks.methods.baselines import constant
from benchmarks.plan.job import plan
from benchmarks.plan.suite import Suite
from benchmarks.run.executors.executor import Outcome
from benchmarks.run.failure import explain
from benchmarks.run.runner import DataUnavailableError, cell_failures
from experts.expert import Expert
from foundation.folder_lock import LOCK, folder_lock
from tasks.registry import CARDS
from tasks.task import TaskView

SUITE = """
name = "small"
tasks = [{tasks}]
splits = {splits}
trials = 1
batch = 1
methods = ["constant"]
budget = {{ steps = 20, eval_every = 20, warm_up = 0, rungs = [] }}
"""


def bench(folder: Path, tasks: str, *options: str, splits: int = 1) -> Result:
    suite = folder / "small.toml"
    suite.write_text(SUITE.format(tasks=tasks, splits=splits))
    return CliRunner().invoke(app, ["bench", str(suite), "--output", str(folder / "out"), "--jobs", "1", *options])


def test_a_method_that_raises_is_failed_rows_and_exit_code_1_and_other_jobs_are_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = constant.METHOD

    def raises_on_split_1(view: TaskView, params: Params, seed: int) -> Expert:
        if view.split.index == 1:
            raise RuntimeError("no luck today")
        return method.fit(view, params, seed)

    monkeypatch.setattr(constant, "METHOD", replace(method, fit=raises_on_split_1))
    done = bench(tmp_path, '"scm"', splits=2)
    assert done.exit_code == 1, done.output
    assert "FAILED" in done.output and "no luck today" in done.output and "1 cells failed" in done.output
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    failed = table[table["status"] == "failed"]
    assert set(failed["split"]) == {1} and failed["reason"].str.contains("no luck today").all()
    assert len(table[table["split"] == 0]) >= 50

    monkeypatch.setattr(constant, "METHOD", method)
    again = bench(tmp_path, '"scm"', splits=2)
    assert again.exit_code == 0, again.output
    assert "1 already finished" in " ".join(again.output.split())
    assert not pd.read_csv(tmp_path / "out" / "results.csv")["status"].eq("failed").any()


def test_a_job_that_fails_leaves_its_finished_cells_finished(tmp_path: Path) -> None:
    suite = Suite(name="t", tasks=("scm",), splits=1, methods=("constant", "utility"))
    (job,) = plan(suite, {"scm": "0" * 64})
    job.cell_folder(tmp_path / "jobs", "constant", 0).mkdir(parents=True)
    (failure,) = cell_failures(Outcome(job, "boom"), tmp_path)
    assert (failure["method"], failure["seed"], failure["error"]) == ("utility", 0, "boom")


@pytest.fixture
def lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Path of a card whose file is nowhere."""
    monkeypatch.setenv("FAIRMOE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FAIRMOE_DATA_MIRROR", str(tmp_path / "mirror"))
    text = (CARDS / "german" / "card.toml").read_text()
    card = tmp_path / "lost.card.toml"
    lines = ['url = "http://127.0.0.1:9/x"' if line.startswith("url =") else line for line in text.split("\n")]
    card.write_text("\n".join(lines))
    return str(card)


def test_data_that_cannot_be_had_are_listed_and_the_rest_runs(tmp_path: Path, lost: str) -> None:
    done = bench(tmp_path, f'"{lost}", "scm"')
    assert done.exit_code == 0, done.output
    assert "UNAVAILABLE" in done.output and "127.0.0.1:9" in done.output and "sha256" in done.output
    assert set(pd.read_csv(tmp_path / "out" / "results.csv")["task"]) == {"scm"}
    assert "lost.card.toml" in (tmp_path / "out" / "leaderboard.md").read_text()


def test_a_run_of_which_no_task_can_be_had_is_an_error(tmp_path: Path, lost: str) -> None:
    done = bench(tmp_path, f'"{lost}"')
    assert isinstance(done.exception, DataUnavailableError)
    text = explain(done.exception)
    assert text is not None and "None of the tasks" in text and "lost.card.toml" in text and "\n" not in text
    assert not (tmp_path / "out").exists()


def test_strict_makes_it_an_error_of_one_paragraph(tmp_path: Path, lost: str) -> None:
    done = bench(tmp_path, f'"{lost}", "scm"', "--strict")
    assert isinstance(done.exception, DataUnavailableError)
    text = explain(done.exception)
    assert text is not None and "1 of 2 tasks" in text and "\n" not in text
    assert not (tmp_path / "out").exists()


def test_a_second_bench_in_the_same_folder_is_refused_and_the_first_is_not_disturbed(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "out", "fairmoe bench other"):
        done = bench(tmp_path, '"scm"')
        text = explain(done.exception) if isinstance(done.exception, Exception) else None
        assert text is not None and "in use by 'fairmoe bench other'" in text, done.output
        assert [path.name for path in (tmp_path / "out").iterdir()] == [LOCK]
    assert bench(tmp_path, '"scm"').exit_code == 0


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A card whose label column is not in its table."""
    table = pd.DataFrame({"sex": ["f", "m"] * 100, "age": range(200), "hired": [0, 1, 1, 0] * 50})
    table.to_csv(tmp_path / "loans.csv", index=False)
    assert CliRunner().invoke(app, ["data", "card", str(tmp_path / "loans.csv")]).exit_code == 0
    card = tmp_path / "loans.card.toml"
    card.write_text(card.read_text().replace('column = "hired"', 'column = "fired"'))
    return card


def test_a_broken_card_stops_everything_before_any_work(tmp_path: Path, broken: Path) -> None:
    done = bench(tmp_path, f'"{broken}", "scm"', splits=2)
    text = explain(done.exception) if isinstance(done.exception, Exception) else None
    assert text is not None and text.count("has no column 'fired'") == 1 and "Nothing was run" in text
    assert not (tmp_path / "out").exists()


@pytest.fixture
def unnoticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that break only when the jobs read them: their file changes under the run."""
    monkeypatch.setattr("benchmarks.run.runner.check_own_cards", lambda *_: None)


@pytest.mark.usefixtures("unnoticed")
def test_data_that_break_are_one_error_once_and_no_page_of_nothing(tmp_path: Path, broken: Path) -> None:
    methods = ["--method", "constant", "--method", "logistic_regression", "--method", "utility"]
    done = bench(tmp_path, f'"{broken}"', *methods, splits=2)
    assert done.exit_code == 1
    assert done.output.count("fired") == 1, done.output
    assert "all 3 cells: the same as above" in done.output and "no page is written" in done.output
    assert "written:" not in done.output and not list((tmp_path / "out").glob("*.html"))
    failed = pd.read_csv(tmp_path / "out" / "results.csv")
    assert len(failed) == 6 and failed["reason"].str.contains("fired").all()  # on record all the same


@pytest.mark.usefixtures("unnoticed")
def test_beside_a_task_that_works_broken_data_are_told_once_on_the_page(tmp_path: Path, broken: Path) -> None:
    done = bench(tmp_path, f'"{broken}", "scm"', splits=2)
    assert done.exit_code == 1
    for page in ("leaderboard.md", "leaderboard.html"):
        text = (tmp_path / "out" / page).read_text()
        assert text[: text.index("Who wins")].count("fired") == 1


def test_a_full_disk_is_told_of_in_a_paragraph(tmp_path: Path) -> None:
    """Also by libraries in other languages, whose error is of a class of their own."""
    import errno

    class SafetensorError(Exception):
        pass

    foreign = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    for error in (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path)), foreign):
        text = explain(error)
        assert text and "no space left on the disk" in text and "same command again" in text
    assert explain(OSError(errno.EIO, "Input/output error")) is None
