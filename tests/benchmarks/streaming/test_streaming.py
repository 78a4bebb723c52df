"""A suite in bounded memory: from a Parquet file to a page, twice the same, refused before it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.commands.runs.next_step import choose_hint
from benchmarks.plan.suite import Suite, SuiteError, load_suite
from benchmarks.run.rebuild import RebuildError, open_cell
from benchmarks.streaming.measured import made_table
from benchmarks.streaming.memory import peak_gib, refuse_too_little
from benchmarks.streaming.methods import streamed_methods, streams
from benchmarks.streaming.run import run_streamed
from foundation.console import plain_console
from tasks.card import DataError

ROOT = Path(__file__).parents[3]
METHODS = ["utility", "result", "constant"]


def suite_of(card: Path, methods: list[str] | None = None) -> Suite:
    """The quick suite on one card."""
    return load_suite("quick", tasks=[str(card)], methods=methods, protocol="robust", trials=2)


def test_what_streams() -> None:
    assert [m for m in ("utility", "result", "procedural", "combined_mlp", "constant") if streams(m)] == []
    assert "folds" in streams("mixture")
    assert "all rows at once" in streams("lightgbm")
    assert "family" in streams("gbdt_utility")
    assert "texts" in streams("llm_utility")
    run, left = streamed_methods(["utility", "mixture", "lightgbm"], named=False)
    assert run == ["utility"]
    assert sorted(name for names in left.values() for name in names) == ["lightgbm", "mixture"]
    with pytest.raises(SuiteError, match="lightgbm: its library takes all rows at once"):
        streamed_methods(["utility", "lightgbm"], named=True)
    with pytest.raises(SuiteError, match="--method utility"):
        streamed_methods(["mixture"], named=False)


def test_a_limit_that_cannot_be_kept_is_refused() -> None:
    refuse_too_little(10_000_000, 4)
    with pytest.raises(SuiteError, match=r"Use --max-memory 2\.3 or more"):
        refuse_too_little(10_000_000, 2)


def test_a_csv_is_refused_before_anything_runs(tmp_path: Path) -> None:
    card = made_table(tmp_path, 300)
    card.write_text(card.read_text(encoding="utf-8").replace('format = "parquet"', 'format = "csv"'), encoding="utf-8")
    with pytest.raises(DataError, match="write them as Parquet"):
        run_streamed(suite_of(card), tmp_path / "out", max_memory=4, named=False, console=plain_console())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_from_a_file_to_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All methods have values on both parts, reasons say how many rows they speak of, a second run gives the same."""
    card = made_table(tmp_path, 6000)
    tables = []
    for run in ("one", "two"):
        monkeypatch.setenv("FAIRMOE_HOME", str(tmp_path / f"home {run}"))
        summary, peak = run_streamed(
            suite_of(card, METHODS), tmp_path / run, max_memory=4, named=True, console=plain_console()
        )
        assert summary.ok and peak > 0 and (tmp_path / run / "leaderboard.html").is_file()
        tables.append((tmp_path / run / "results.csv").read_bytes())
    assert tables[0] == tables[1]
    results = pd.read_csv(tmp_path / "one" / "results.csv")
    assert set(results.method) == set(METHODS)
    test = results[results.part == "test"].set_index(["method", "metric"])
    assert (test.loc["utility"].status == "ok").all()
    assert "on a stratified sample of 500 rows" in test.loc[("utility", "fair_proc@1")].reason
    assert test.loc[("utility", "auc@1")].estimate > 0.7
    assert test.loc[("constant", "dp@1")].status == "degenerate"
    assert choose_hint(tmp_path / "one") == ""
    with pytest.raises(RebuildError, match="with --max-memory: its rows stayed in files"):
        open_cell(tmp_path / "one", "big", 0, "utility")
    provenance = pd.read_csv(tmp_path / "one" / "provenance.csv")
    assert (provenance.explained_rows == 500).all()


def test_memory_is_that_of_the_process_and_not_of_who_started_it() -> None:
    held = np.ones(1 << 27)
    assert peak_gib() > held.nbytes / 2**30 >= 1
    program = "from benchmarks.streaming.memory import peak_gib; print(peak_gib())"
    place = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=place, capture_output=True, text=True, check=True)
    assert 0 < float(done.stdout) < 1


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "limit"), [(665_800, 1.1)])
def test_memory_of_storing_is_bounded(tmp_path: Path, rows: int, limit: float) -> None:
    """As many rows as acs_income has, 50 columns: encoding and a pass of training in a process of their own.

    In memory the raw table alone takes 0.3 GB as numbers and several times that as words.
    """
    card = made_table(tmp_path, rows, numbers=30, words=20)
    program = (
        "import torch; torch.set_num_threads(1)\n"
        "from benchmarks.streaming.memory import peak_gib\n"
        "from tasks.stored.writing import Storing, store_table\n"
        "from experts.networks.stored_rows import StoredRows\n"
        f"table = store_table(Storing({str(card)!r}))\n"
        "stream = StoredRows(table, 1024, 0)\n"
        "rows = sum(len(stream.next()) for _ in range(len(table.rows_of('train')) // 1024))\n"
        "counted = sum(len(view.rows) for view in table.blocks('test', 65536))\n"
        "print(rows, counted, peak_gib())\n"
    )
    place = {**os.environ, "PYTHONPATH": str(ROOT), "FAIRMOE_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", program], env=place, capture_output=True, text=True, check=True)
    trained, counted, peak = (float(word) for word in done.stdout.split())
    assert trained > rows / 2 - 2048 and counted == pytest.approx(rows / 4, abs=4)
    assert peak < limit, f"{peak:.2f} GiB"
