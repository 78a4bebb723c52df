"""Two runs on the same test rows: paired bootstrap of the rows, from the predictions that both stored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from scipy import special

from foundation.seeding import numpy_generator
from metrics.counts.tables import paired_counts, resample_paired
from metrics.points import COUNT_METRICS, count_values
from reports.runs.metric_changes import MetricChange, judged
from reports.stats.statistics import CONFIDENCE, ROUNDING, Interval
from reports.table import LOST
from tasks.card import CardError, DataError
from tasks.load import load_task
from tasks.registry import task_name

if TYPE_CHECKING:
    from torch import Tensor

    from reports.table import Tables
    from tasks.task import Task

DRAWS = 10_000
USUAL = ("acc@1", "f1@1", "worst_acc@1", "dp@1", "eopp@1", "fair_res@1")
"""Metrics that are compared when none are named: of the headline metrics only fair_res@1 follows from counts."""

CELL = ["task", "use_sensitive", "split", "seed", "method"]


@dataclass
class RowComparison:
    """Tests over rows, and why some cells have none."""

    tests: tuple[MetricChange, ...] = ()
    notes: list[str] = field(default_factory=list)


def compare_rows(
    folders: tuple[Path, Path],
    tables: tuple[Tables, Tables],
    metrics: Sequence[str] = (),
    methods: Sequence[str] = (),
) -> RowComparison:
    """Paired bootstrap over test rows of every cell that both runs predicted on the same task and split.

    The interval says how sure the change is for *these two trained models* on other rows of the same kind; that another
    training seed or split would have given another model is not part of it.

    Parameters
    ----------
    folders, tables
        Earlier and later run.
    metrics : sequence of str
        Those that follow from counts (``metrics.points.COUNT_METRICS``) are compared; default ``USUAL``.
    methods : sequence of str
        Default: all.

    Returns
    -------
    RowComparison
        Holm-corrected over all its tests.
    """
    wanted = [metric for metric in (metrics or USUAL) if metric in COUNT_METRICS]
    found = RowComparison()
    if not wanted:
        found.notes.append(f"--rows compares metrics of counts only: {', '.join(COUNT_METRICS)}.")
        return found
    cells = _common_cells(tables)
    if methods:
        cells = cells[cells["method"].isin(methods)]
    tests: list[MetricChange] = []
    for place, group in cells.groupby(["task", "protocol", "use_sensitive", "split"], sort=True):
        task = _task(tables, place, group["task_hash"].iloc[0], found.notes)
        if task is not None:
            cells_here = [{str(key): value for key, value in cell.items()} for cell in group.to_dict("records")]
            tests += [test for cell in cells_here for test in _tests(folders, task, cell, wanted, found)]
    found.tests = judged(tests)
    return found


def _common_cells(tables: tuple[Tables, Tables]) -> pd.DataFrame:
    """Cells that both runs finished on the same bytes, with the key of each run's cell."""
    heads = []
    for run, side in zip(tables, ("first", "second"), strict=True):
        rows = run.results[~run.results["status"].isin(LOST)]
        head = rows[[*CELL, "protocol", "task_hash", "split_hash"]].drop_duplicates()
        keys = run.provenance[[*CELL, "cell"]].rename(columns={"cell": side})
        heads.append(head.merge(keys, on=CELL))
    return heads[0].merge(heads[1], on=[*CELL, "protocol", "task_hash", "split_hash"])


def _task(tables: tuple[Tables, Tables], place: Any, task_hash: str, notes: list[str]) -> Task | None:
    """The task with its labels, if the data at hand are those of the runs."""
    title, protocol, use_sensitive, split = place
    seed = int(tables[1].suite.get("seed", 0))
    asked = [*tables[1].suite["tasks"], *((tables[1].suite.get("llm") or {}).get("tasks", ()))]
    try:
        name = next((name for name in asked if name == title or task_name(name) == title), title)
        task = load_task(
            name, protocol=protocol, split=int(split), seed=seed, use_sensitive=use_sensitive, progress=False
        )
    except (CardError, DataError) as error:
        notes.append(f"Rows of {title} (split {split}) are not compared: {error}")
        return None
    if task.hash != task_hash:
        notes.append(f"Rows of {title} (split {split}) are not compared: the data at hand are not those of the runs.")
        return None
    return task


def _tests(
    folders: tuple[Path, Path], task: Task, cell: dict[str, Any], metrics: Sequence[str], found: RowComparison
) -> Iterator[MetricChange]:
    name = f"{cell['task']} · {cell['method']} · split {cell['split']} · seed {cell['seed']}"
    rows = task.split.test
    sides = [
        _probability(folder / "predictions" / f"{cell[side]}.parquet", task)
        for folder, side in zip(folders, ("first", "second"), strict=True)
    ]
    if sides[0] is None or sides[1] is None:
        found.notes.append(f"Rows of {name} are not compared: its predictions are not in both output folders.")
        return
    table = paired_counts(sides[0], sides[1], task.labels[rows], task.groups[rows], len(task.group_names))
    words = (cell["task"], str(cell["split"]), cell["use_sensitive"], cell["method"])
    drawn = resample_paired(table, DRAWS, numpy_generator(0, "paired rows", *words))
    sizes = table.sum((-1, -2))
    point = [count_values(t, sizes) for t in (table.sum(-1), table.sum(-2))]
    draws = [count_values(t, sizes) for t in drawn]
    for metric in metrics:
        values = [float(side[metric]) for side in point]
        interval = _interval(values[1] - values[0], draws[1][metric] - draws[0][metric], len(rows))
        yield MetricChange(
            cell["task"], cell["use_sensitive"], cell["method"], metric, "rows", values[0], values[1], interval,
            split=int(cell["split"]), seed=int(cell["seed"]),
        )  # fmt: skip


def _probability(path: Path, task: Task) -> Tensor | None:
    """[r] stored probabilities of the test rows in the task's order, None where there are none."""
    if not path.is_file():
        return None
    stored = pd.read_parquet(path, columns=["row", "part", "probability"])
    test = stored[stored["part"] == "test"].set_index("row")["probability"]
    known = test.reindex(task.rows[task.split.test].numpy())
    return None if known.isna().any() else torch.from_numpy(known.to_numpy(dtype="float64", copy=True))


def _interval(observed: float, draws: Tensor, n: int) -> Interval:
    """Interval of a difference: the draws' deviations from their mean, around what was observed.

    Resampling pushes gaps of both models up; the deviations leave that out. The p-value is that of a normal with the
    draws' standard deviation.
    """
    known = draws[~draws.isnan()]
    if math.isnan(observed) or len(known) < DRAWS // 2:
        return Interval(math.nan, math.nan, math.nan, math.nan, n)
    deviations = known - known.mean()
    error = float(deviations.std())
    if error <= ROUNDING:
        return Interval(observed, observed, observed, 1.0 if abs(observed) <= ROUNDING else 0.0, n)
    low, high = (float(deviations.quantile(q)) for q in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return Interval(observed, observed + low, observed + high, float(2 * special.ndtr(-abs(observed) / error)), n)
