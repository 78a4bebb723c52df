"""Sending runs to the embedded store, against MLflow's own calls in the order of its documentation.

``python -m benchmarks.speed tracking``: two runs of 130 metrics and 15 parameters a round, with a table of 16 trials.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.cells.cell import Cell
from benchmarks.speed.timing import interleaved
from benchmarks.tracking.mlflow_store import TAGS, Tracker, open_tracker, quiet

METRICS, PARAMS, TRIALS, RUNS = 130, 15, 16, 2


def main() -> None:
    """Print milliseconds of a run, both ways."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["FAIRMOE_HOME"] = home
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        tracker = open_tracker()
        cells = _Cells(Path(home) / "output")
        found = interleaved(lambda: _ours(tracker, cells), lambda: _fluent(tracker), rounds=5)
        wall = time.perf_counter()
        _ours(tracker, cells)
        wall = (time.perf_counter() - wall) / RUNS * 1000
    print(
        f"a run to the embedded store: {found.median_a / RUNS * 1000:.0f} ms of CPU ({wall:.0f} ms of wall time); "
        f"MLflow's fluent calls {found.median_b / RUNS * 1000:.0f} ms; {found.ratio:.1f} times faster"
    )


class _Cells:
    """Finished cells on disk, each new."""

    def __init__(self, output: Path) -> None:
        self.output, self.made = output, 0

    def new(self) -> Path:
        from foundation.files import write_json

        self.made += 1
        folder = self.output / "jobs" / "job" / "cells" / f"{self.made:024x}"
        folder.mkdir(parents=True)
        _cell(folder.name).save(folder)
        write_json(folder / "trials.json", _trials())
        return folder


def _cell(key: str) -> Cell:
    head = {**dict.fromkeys(TAGS, "word"), "split": 0, "seed": 0}
    numbers = {"estimate": 0.5, "low": 0.4, "high": 0.6, "null_p95": 0.1}
    results = [{**head, "part": "test", "metric": f"metric_{i}@1", **numbers} for i in range(METRICS // len(numbers))]
    return Cell(key, head, results=results, params={f"param_{i}": i for i in range(PARAMS)})


def _ours(tracker: Tracker, cells: _Cells) -> None:
    for _ in range(RUNS):
        tracker.send(cells.new())


def _fluent(tracker: Tracker) -> None:
    with quiet():
        import mlflow

        for _ in range(RUNS):
            with mlflow.start_run(experiment_id=tracker.experiment):
                mlflow.log_params({f"param_{i}": i for i in range(PARAMS)})
                for i in range(METRICS):
                    mlflow.log_metric(f"metric_{i}", i / METRICS)
                mlflow.log_table(_trials(), "trials.json")


def _trials() -> dict[str, list[Any]]:
    return {"number": list(range(TRIALS)), "utility@1": [i / TRIALS for i in range(TRIALS)]}


if __name__ == "__main__":
    main()
