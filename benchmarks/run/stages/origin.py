"""Where a model that a run saves comes from."""

from __future__ import annotations

from typing import Any

from benchmarks.cells.cell import Cell
from benchmarks.plan.job import Job


def origin_of(job: Job, cell: Cell) -> dict[str, Any]:
    """Suite, cell, split, seed, and the command that makes the cell again; the chosen model, so no trial."""
    return {
        "suite": job.suite, "cell": cell.key, "split": job.split, "variant": "plain", "trial": None,
        "seed": cell.head["seed"], "command": cell.cost["reproduce"],
    }  # fmt: skip
