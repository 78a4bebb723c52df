"""How long the leaderboard takes: ``python -m benchmarks.speed leaderboard [--rows 10000] [--methods 20]``.

Made-up numbers are written by the real writer, then the tables are read, summarised (10,000 bootstrap draws) and
rendered as HTML and Markdown. CPU seconds of this process, one thread; imports are not counted. Goal: 10 seconds for
10,000 rows of results.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.speed.timing import seconds
from reports.build import write_report
from reports.methods import MethodRow, write_methods
from reports.stats.statistics import DRAWS
from reports.table import write_results

GOAL = 10.0
METRICS = (
    "utility@1", "acc@1", "f1@1", "auc@1", "fair_res@1", "dp@1", "eopp@1", "fair_proc@1", "final@1", "worst_acc@1",
)  # fmt: skip
LEVELS = ("0.01", "0.02", "0.05", "0.10", "half", "quarter")


def made_methods(count: int) -> list[MethodRow]:
    """Records of made-up methods; the first is compared with all others."""
    names = ["mixture", "constant", "utility", *(f"method_{i:02}" for i in range(3, count))][:count]
    compared = tuple(("tabular", name) for name in names[1:])
    return [
        MethodRow(n, n, kind="baseline" if i else "gate", compared=() if i else compared) for i, n in enumerate(names)
    ]


def heads(tasks: int, splits: int, methods: list[str]) -> Iterator[dict[str, Any]]:
    """Columns that name each cell."""
    for task in range(tasks):
        for split in range(splits):
            for method in methods:
                yield {
                    "suite": "speed", "task": f"task-{task:02}", "task_hash": f"{task}", "protocol": "robust",
                    "split": split, "split_hash": f"{split}", "use_sensitive": "keep", "seed": 0, "method": method,
                    "role": "baseline", "family": "linear",
                }  # fmt: skip


def tables(tasks: int, splits: int, methods: list[str]) -> dict[str, Any]:
    """Rows of every table."""
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {"results": [], "groups": [], "routing": [], "provenance": []}
    levels: list[dict[str, Any]] = []
    quality = rng.normal(0, 0.02, (len(methods), len(METRICS)))
    for head in heads(tasks, splits, methods):
        values = 0.5 + quality[methods.index(head["method"])] + rng.normal(0, 0.02, len(METRICS))
        for part in ("test", "validation"):
            for metric, value in zip(METRICS, values, strict=True):
                row = {**head, "part": part, "metric": metric, "estimate": value, "low": value - 0.02}
                found["results"].append(row | {"high": value + 0.02, "null_p95": 0.03, "status": "ok", "reason": ""})
        for group in ("a", "b"):
            for statistic in ("count", "positives", "selection_rate", "tpr", "fpr", "accuracy"):
                row = {**head, "part": "test", "group": group, "statistic": statistic, "estimate": 0.5}
                found["groups"].append(row | {"low": 0.4, "high": 0.6})
        for level in LEVELS:
            for metric in ("utility@1", "fair_res@1", "limit"):
                row = {**head, "variant": "plain", "gap": "fair_res@1", "level": level, "procedural": ""}
                levels.append(row | {"metric": metric, "estimate": values[0], "validation": values[0], "status": "ok"})
        found["provenance"].append(_provenance(head))
    return {**found, "further": {"levels": levels}}


def _provenance(head: dict[str, Any]) -> dict[str, Any]:
    return {
        "cell": f"{head['task']}-{head['split']}-{head['method']}", "suite": "speed", "task": head["task"],
        "method": head["method"], "use_sensitive": "keep", "split": head["split"], "seed": 0, "mlflow_run_id": "",
        "wall_s": 1.0, "trainable_parameters": 100.0, "adapter_kib": float("nan"),
        "tokens_per_s": float("nan"), "code_version": "", "environment_hash": "", "finished": "", "reproduce": "",
        "order": "",
    }  # fmt: skip


def write_run(folder: Path, rows: int, methods: int, splits: int) -> int:
    """Write the output folder of a made-up run with at least so many rows of results; returns how many."""
    records = made_methods(methods)
    names = [record.id for record in records]
    tasks = -(-rows // (len(names) * splits * len(METRICS) * 2))
    made = tables(tasks, splits, names)
    write_results(folder, **made)
    write_methods(records, folder)
    titles = [f"task-{task:02}" for task in range(tasks)]
    asked = [
        {"task": t, "protocol": "robust", "use_sensitive": "keep", "split": s, "cells": {"0": names}}
        for t in titles
        for s in range(splits)
    ]
    suite = {
        "name": "speed", "version": 1, "description": "Made-up numbers.", "tasks": titles, "protocol": "robust",
        "splits": splits, "seeds": 1, "seed": 0, "trials": 1, "batch": 1, "space": "published", "epsilon": 0.02,
        "folds": 5, "use_sensitive": ["keep"], "methods": names, "budget": {}, "hash": "f" * 64, "failures": [],
        "tracking_error": "", "unavailable": [], "code_version": "", "environment_hash": "", "python": "",
        "libraries": {}, "llm": None, "infos": {}, "asked": asked,
    }  # fmt: skip
    (folder / "suite.json").write_text(json.dumps(suite), encoding="utf-8")
    return len(made["results"])


def main() -> None:
    """Print the seconds, and with ``--profile`` where they go."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000, help="rows of results, at least (default 10000)")
    parser.add_argument("--methods", type=int, default=20, help="methods (default 20)")
    parser.add_argument("--splits", type=int, default=5, help="splits per task (default 5)")
    parser.add_argument("--profile", action="store_true", help="show the functions that take longest")
    arguments = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = write_run(folder, arguments.rows, arguments.methods, arguments.splits)
        if arguments.profile:
            with cProfile.Profile() as profile:
                write_report(folder)
            pstats.Stats(profile).sort_stats("cumulative").print_stats(45)
            return
        taken = seconds(lambda: write_report(folder))
    console.print(
        f"leaderboard from {rows:,} rows, {arguments.methods} methods, {DRAWS:,} draws: {taken:.1f} s CPU "
        f"(goal {GOAL:.0f} s)"
    )


if __name__ == "__main__":
    main()
