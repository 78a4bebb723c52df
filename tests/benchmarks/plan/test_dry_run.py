"""A dry run: counts jobs and cells, knows what is finished, estimates honestly, computes and writes nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.plan.dry_run import DryRun, print_plan
from benchmarks.plan.job import Job, plan
from benchmarks.plan.spans import bytes_text, span_text
from benchmarks.plan.suite import Suite, load_suite
from benchmarks.plan.time_estimate import SPREAD, Clock, Earlier, Span, earlier_jobs, networks_of, refitted
from benchmarks.run.units import units_of
from tasks.registry import resolve

METHODS = ("mixture", "utility", "result", "procedural", "constant", "lightgbm")


def small(**changes: object) -> Suite:
    settings = {"name": "small", "tasks": ("scm", "compas:race"), "splits": 2, "trials": 10, "methods": METHODS}
    return Suite.model_validate(settings | changes)


def jobs_of(suite: Suite) -> list[Job]:
    return list(plan(suite, {task: resolve(task).card.hash for task in suite.all_tasks}))


def printed(suite: Suite, output: Path, workers: int = 2) -> str:
    console = Console(file=io.StringIO(), width=200)
    print_plan(DryRun(suite, output, workers, units_of), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row_of(text: str, task: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"│ {task}"))
    return [part.strip() for part in line.strip("│").split("│")]


def test_it_counts_jobs_cells_and_what_is_finished(tmp_path: Path) -> None:
    suite = small()
    first = jobs_of(suite)[0]
    for method in ("constant", "lightgbm"):
        first.cell_folder(tmp_path / "jobs", method, 0).mkdir(parents=True)
    (tmp_path / "jobs" / first.folder / "cells" / ".half-written.tmp").mkdir()
    text = printed(suite, tmp_path)
    assert row_of(text, "scm")[:4] == ["scm", "2", "12", "2"]
    assert row_of(text, "compas:race")[:4] == ["compas:race", "2", "12", "0"]
    assert "4 jobs (0 finished), 24 cells (2 finished, 22 to compute)." in text


def test_a_finished_run_has_nothing_left_and_no_time(tmp_path: Path) -> None:
    suite = small(tasks=("scm",), methods=("constant",))
    for job in jobs_of(suite):
        job.cell_folder(tmp_path / "jobs", "constant", 0).mkdir(parents=True)
    text = printed(suite, tmp_path)
    assert row_of(text, "scm") == ["scm", "2", "2", "2", "–"]
    assert "Nothing is left to compute" in text and "Estimated" not in text


def test_another_setting_is_another_cell(tmp_path: Path) -> None:
    for job in jobs_of(small(tasks=("scm",), methods=("constant",))):
        job.cell_folder(tmp_path / "jobs", "constant", 0).mkdir(parents=True)
    assert row_of(printed(small(tasks=("scm",), methods=("constant",), seed=1), tmp_path), "scm")[3] == "0"


def earlier(place: str = "scm", rows: float = 2000.0, trials: int = 10, **seconds: float) -> Earlier:
    return Earlier(
        f"{place}_split0_{len(seconds):012x}",
        place,
        rows,
        trials,
        1500,
        {k.replace("_", " ", 1): v for k, v in seconds.items()},
    )


def test_clocks_of_the_same_task_are_believed_and_counted() -> None:
    job = jobs_of(small(methods=("lightgbm",)))[0]
    clock = Clock([earlier(rows=2000.0, method_lightgbm=40.0, tune_utility=20.0, refit_lightgbm=10.0)])
    rows = resolve("scm").card.rows / 2
    span = clock.job(job, [("lightgbm", 0)], {})
    score = 0.2 + 0.3 * rows / 10_000
    assert span.likely == pytest.approx(70 * (rows / 2000) ** 0.35 + score)
    assert (len(clock.used), clock.guessed) == (1, 0)
    assert span.low == pytest.approx(70 * (rows / 2000) ** 0.35 / SPREAD["same"] + score / SPREAD["rates"])


def test_trials_scale_tuning_and_baselines_and_finished_networks_cost_nothing() -> None:
    job = jobs_of(small(methods=("lightgbm",), trials=20))[0]
    clock = Clock([earlier(rows=resolve("scm").card.rows / 2, method_lightgbm=40.0, tune_utility=20.0)])
    score = clock.job(job, [("lightgbm", 0)], {}).likely - 120
    assert clock.job(job, [("lightgbm", 0)], {"tune utility": 1.0}).likely == pytest.approx(80 + score)


def test_another_task_is_less_sure_and_rates_are_least_sure() -> None:
    job = jobs_of(small(methods=("utility",)))[0]
    widths = []
    for known in (
        [earlier(tune_utility=20.0, method_utility=0.1)],
        [earlier("german", tune_utility=20.0, method_utility=0.1)],
        [],
    ):
        span = Clock(known).job(job, [("utility", 0)], {})
        assert 0 < span.low < span.likely < span.high
        widths.append(span.high / span.low)
    assert widths == sorted(widths)


def test_a_time_limit_bounds_the_estimate() -> None:
    job = jobs_of(small(methods=("lightgbm",), method_seconds=5.0))[0]
    clock = Clock([earlier(method_lightgbm=4000.0, tune_utility=0.0)])
    assert clock.job(job, [("lightgbm", 0)], {}).high < 5.0 + 10


def test_which_networks_methods_need() -> None:
    job = jobs_of(small())[0]
    assert networks_of(job, ["role_mixture"]) == ["tune utility", "tune result", "tune procedural"]
    for whole in ("mixture", "family_mixture"):
        names = [
            f"tune {p}{r}" for p in ("", "ple_mlp_", "gbdt_", "linear_") for r in ("utility", "result", "procedural")
        ]
        assert networks_of(job, [whole]) == names
    assert networks_of(job, ["result_lambda0"]) == ["tune result"]
    assert networks_of(job, ["combined_mlp", "lightgbm"]) == ["tune utility", "tune combined"]


def test_what_is_refitted_on_folds() -> None:
    asked = ("mixture", "utility", "result_lambda0", "lightgbm", "exponentiated_gradient", "gcn", "llm_utility")
    assert [method for method in asked if refitted(method)] == ["utility", "lightgbm"]


def test_ledgers_are_found_in_the_folder_and_beside_it(tmp_path: Path) -> None:
    for output in ("here", "there"):
        home = tmp_path / output / "jobs" / "compas-race_drop_split1_0123456789ab"
        home.mkdir(parents=True)
        (home / "timing.json").write_text(json.dumps({"method lightgbm": 7.0}))
        suite = {"tasks": ["compas:race"], "trials": 5, "budget": {"steps": 100}}
        (tmp_path / output / "suite.json").write_text(json.dumps(suite))
    found = earlier_jobs([tmp_path / "here", tmp_path / "none"], {"tasks": [], "trials": 1})
    assert [(job.place, job.trials, job.steps) for job in found] == [("compas-race_drop", 5, 100)]
    text = printed(small(methods=("lightgbm",)), tmp_path / "here")
    assert "stimate from 1 earlier job; the rest from built-in rates" in text


def test_clocks_of_an_interrupted_run_count_for_its_rest(tmp_path: Path) -> None:
    suite = small(methods=("lightgbm",))
    home = tmp_path / "jobs" / jobs_of(suite)[0].folder
    home.mkdir(parents=True)
    (home / "timing.json").write_text(json.dumps({"tune utility": 3.0, "method lightgbm": 7.0}))
    assert "stimate from 1 earlier job" in printed(suite, tmp_path)


def test_it_says_which_data_would_be_downloaded_and_how_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAIRMOE_DATA_MIRROR", raising=False)
    monkeypatch.setenv("FAIRMOE_CACHE", str(tmp_path / "cache"))
    text = printed(small(), tmp_path / "out")
    size = sum(file.bytes for file in resolve("compas").card.file if file.role == "table")
    assert f"NOT HERE YET compas: {bytes_text(size)} to download" in text
    assert not (tmp_path / "cache").exists() and not (tmp_path / "out").exists()


def test_the_command_exits_0_and_computes_nothing(tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = CliRunner().invoke(app, ["bench", "quick", "--dry-run", "--output", str(output), "--jobs", "2"])
    assert done.exit_code == 0, (done.output, done.exception)
    assert "Nothing was computed or downloaded" in done.output and not output.exists()


@pytest.mark.parametrize("name", ["quick", "default", pytest.param("full", marks=pytest.mark.slow)])
def test_every_cell_of_a_shipped_suite_is_planned(name: str, tmp_path: Path) -> None:
    suite = load_suite(name)
    text = printed(suite, tmp_path)
    assert f"{sum(len(job.cells()) for job in jobs_of(suite))} to compute" in text
    assert "built-in rates" in text


def test_words() -> None:
    assert [span_text(Span(h / 4, h / 2, h)) for h in (0.0, 8.0, 100.0, 9000.0, 1e6)] == [
        "–", "2 to 8 s", "0.4 to 2 min", "0.6 to 2 h", "3 to 12 d",
    ]  # fmt: skip
    assert span_text(Span(10, 10, 10)) == "10 s"
    assert [bytes_text(n) for n in (999, 3400, 78_000, 5_800_000, 2_100_000_000)] == [
        "999 B", "3.4 kB", "78 kB", "5.8 MB", "2.1 GB",
    ]  # fmt: skip


def test_a_file_of_ones_own_that_was_edited_is_not_as_its_card_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "mine.csv"
    rows = [f"{i % 7},{('woman', 'man')[i % 2]},{('denied', 'granted')[i % 3 > 0]}" for i in range(60)]
    table.write_text("\n".join(["points,gender,loan", *rows]) + "\n")
    drafted = CliRunner().invoke(app, ["data", "card", "mine.csv"])
    assert drafted.exit_code == 0, (drafted.output, drafted.exception)
    suite = small(tasks=(str(tmp_path / "mine.card.toml"),), methods=("constant",))
    assert "All data are on this machine." in printed(suite, tmp_path / "out")
    table.write_text(table.read_text() + "3,man,granted\n")
    text = printed(suite, tmp_path / "out")
    assert "NOT AS ITS CARD SAYS" in text and "mine.csv" in text and "All data" not in text
