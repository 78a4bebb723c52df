"""The predictions that a benchmark left of one task and split: which of its files are those, and of which method."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.predictions.reading import PredictionError
from reports.table import LOST, read_core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.table import Tables
    from tasks.task import TaskView

CELL = ["task", "use_sensitive", "split", "seed", "method"]


@dataclass(frozen=True)
class StoredPrediction:
    """A file of predictions and the cell that it belongs to."""

    method: str
    use_sensitive: str
    seed: int
    path: Path


def stored_predictions(folder: Path, view: TaskView, methods: Sequence[str] = ()) -> list[StoredPrediction]:
    """Files of a run that predict the test rows of a task, by method.

    Parameters
    ----------
    folder : Path
        Output folder of a run, or its folder ``predictions``.
    view : TaskView
        The task and split that is asked for.
    methods : sequence of str
        Only these; default: all.

    Raises
    ------
    PredictionError
        If the run has none of this task and split, or lacks a named method; the text says what it has.
    """
    run = folder.parent if folder.name == "predictions" else folder
    tables = read_core(run)
    cells = _finished(tables)
    same = cells[(cells["task"] == view.name) & (cells["split_hash"] == view.split.hash)]
    if same.empty:
        raise PredictionError(_none(run, tables, cells, view))
    unknown = [method for method in methods if method not in set(same["method"])]
    if unknown:
        raise PredictionError(
            f"{run} has no finished predictions of {', '.join(unknown)} on {view.name}, split {view.split.index}; it "
            f"has those of {', '.join(sorted(same['method'].unique()))}."
        )
    chosen = same[same["method"].isin(methods)] if methods else same
    return [
        StoredPrediction(str(row.method), str(row.use_sensitive), int(str(row.seed)), _file(run, str(row.cell)))
        for row in chosen.sort_values(["method", "use_sensitive", "seed"]).itertuples()
    ]


def _finished(tables: Tables) -> pd.DataFrame:
    """Key, place and split hash of every finished cell."""
    rows = tables.results[~tables.results["status"].isin(LOST)]
    heads = rows[[*CELL, "protocol", "split_hash"]].drop_duplicates()
    return heads.merge(tables.provenance[[*CELL, "cell"]], on=CELL)


def _file(run: Path, key: str) -> Path:
    path = run / "predictions" / f"{key}.parquet"
    if not path.is_file():
        raise PredictionError(
            f"{run} lacks predictions/{path.name}, which its tables speak of. Run the same bench command again: "
            "finished cells are kept, and their files are copied anew."
        )
    return path


def _none(run: Path, tables: Tables, cells: pd.DataFrame, view: TaskView) -> str:
    places = cells[["task", "protocol", "split"]].drop_duplicates().sort_values(["task", "protocol", "split"])
    held = ", ".join(f"{row.task} ({row.protocol}, split {row.split})" for row in places.itertuples()) or "nothing"
    asked = f"{view.name} ({view.split.protocol}, split {view.split.index})"
    seed = tables.suite.get("seed", 0)
    hint = (
        "" if seed == view.split.seed or view.split.seed is None else f" The run's seed is {seed}: give --seed {seed}."
    )
    return f"{run} has no predictions of the test rows of {asked}; it has {held}.{hint}"
