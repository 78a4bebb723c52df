"""Three shards, computed apart and merged, are the bytes of one run; pages of less than all say so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from benchmarks.merging.inputs import MergeError
from benchmarks.merging.merge import check, write, write_tables
from benchmarks.plan.shard import Shard
from benchmarks.run.collect import RunSummary
from benchmarks.run.runner import run_suite
from benchmarks.tracking.mlflow_store import finished_cells, open_tracker, send_all, unsent
from tests.benchmarks.conftest import tiny_suite
from tests.benchmarks.merging.made_folders import tree

SUITE = tiny_suite(
    tasks=("scm@400", "scm@300", "scm@350"), trials=2, seeds=2, methods=("constant", "logistic_regression", "utility")
)
CLOCKED = ("provenance.csv", "leaderboard.html", "leaderboard.md", "tables/answer.csv", "tables/answer.tex")
"""Files of an output folder that hold seconds or run ids; all others of its own are the same bytes every time."""


def merged(folders: list[Path], output: Path, *, partial: bool = False) -> RunSummary:
    found = check(folders, output, partial=partial, allow_different=False, tell=lambda what, done, total: None)
    write(found, output, lambda what, done, total: None)
    return write_tables(found, output)


def compared(output: Path) -> dict[str, str]:
    """What must be the same: tables, settings, predictions, plans; of cells what their numbers are."""
    files = tree(output)
    own = {name: digest for name, digest in files.items() if "/" not in name or name.startswith(("tables/", "pred"))}
    left_out = {*CLOCKED, ".id", ".lock", "written.json", "merged.json"}
    cells = {
        n: d for n, d in files.items() if "/cells/" in n and not n.endswith(("cell.json", "files.json", "mlflow.json"))
    }
    return {name: digest for name, digest in {**own, **cells}.items() if name not in left_out}


@pytest.mark.slow
def test_three_shards_merged_are_one_run(tmp_path: Path, quiet: Console) -> None:
    whole = tmp_path / "whole"
    run_suite(SUITE, whole, workers=1, strict=True, console=quiet)
    shards = [tmp_path / f"shard{i}" for i in (1, 2, 3)]
    for i, folder in enumerate(shards):
        run_suite(SUITE, folder, workers=1, strict=True, console=quiet, shard=Shard(i + 1, 3))
        said = (folder / "leaderboard.md").read_text() + (folder / "leaderboard.html").read_text()
        assert f"SHARD {i + 1} OF 3: NOT THE WHOLE SUITE" in said and f"Shard {i + 1} of 3: not the whole suite" in said
    with pytest.raises(MergeError, match="shard 2 of 3 with 1 job"):
        merged([shards[0], shards[2]], tmp_path / "less")

    less = merged([shards[0], shards[2]], tmp_path / "less", partial=True)
    page = less.pages[1].read_text()
    assert "SHARDS 1 AND 3 OF 3: NOT THE WHOLE SUITE" in page and "MISSING CELLS" in page

    summary = merged(shards[::-1], tmp_path / "all")
    assert summary.ok and summary.pages
    assert compared(tmp_path / "all") == compared(whole)
    assert "not the whole suite" not in (tmp_path / "all" / "leaderboard.html").read_text()

    # the store knows the cells by their keys already: they are found there, not sent twice
    cells = list(finished_cells(tmp_path / "all"))
    assert unsent(cells) == cells
    send_all(open_tracker(), cells)
    runs = open_tracker().client.search_runs([open_tracker().experiment])
    assert len(runs) == len(cells) == len(pd.read_csv(whole / "provenance.csv"))

    # a run of the suite finds everything done, in the merged folder as in its own
    again = run_suite(SUITE, tmp_path / "all", workers=1, strict=True, console=quiet)
    assert again.computed == 0
    assert (tmp_path / "all" / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()

    # a shard that lost a cell is refused, and whole again after its command
    (lost, *_) = finished_cells(shards[1])
    shutil.rmtree(lost)
    with pytest.raises(MergeError, match=r"1 cell .* not finished"):
        merged(shards, tmp_path / "third")
    run_suite(SUITE, shards[1], workers=1, strict=True, console=quiet, shard=Shard(2, 3))
    merged(shards, tmp_path / "third")
    assert compared(tmp_path / "third") == compared(whole)
