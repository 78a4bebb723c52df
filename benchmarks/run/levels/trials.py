"""Rows of the table "trials" of one cell."""

from __future__ import annotations

import json
import math
from typing import Any

import torch

from benchmarks.run.levels.part import GAP, UTILITY, Part
from benchmarks.run.levels.trained import Trained
from metrics.points import DEGENERATE_SHARE, rarer_share
from tasks.task import Task


def trial_rows(trained: Trained, task: Task) -> list[dict[str, Any]]:
    """Rows of the table "trials" of one cell: utility and gap of every trained configuration.

    Parameters
    ----------
    trained : Trained
    task : Task

    Returns
    -------
    list of dict
        trial (its number in the study: 0, 1, … in the order of training), params (its hyperparameters, as JSON with
        sorted keys), ``utility_*`` and ``fair_res_*`` on validation and test rows, state: "ok", "pruned" (stopped
        before its end; the numbers are those of the best checkpoint that it had), "constant" (nearly the same answer
        for all validation rows) or "failed" (no prediction; numbers are nan).
    """
    parts = (("validation", trained.validation), ("test", trained.test))
    rows_of = {"validation": task.split.validation, "test": task.split.test}
    values = {part: Part.of(task, rows_of[part]).values(p, (UTILITY, GAP)) for part, p in parts}
    failed = torch.isnan(trained.validation).any(1) | torch.isnan(trained.test).any(1)
    constant = rarer_share(trained.validation) < DEGENERATE_SHARE
    stopped = trained.stopped or [False] * len(failed)
    params = trained.params or [{}] * len(failed)
    return [
        {
            "trial": k,
            "params": json.dumps(params[k], sort_keys=True),
            **{
                f"{name}_{part}": math.nan if failed[k] else float(values[part][metric][k])
                for part in values
                for name, metric in (("utility", UTILITY), ("fair_res", GAP))
            },
            "state": "failed" if failed[k] else "constant" if constant[k] else "pruned" if stopped[k] else "ok",
        }
        for k in range(len(failed))
    ]
