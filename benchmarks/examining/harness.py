"""Tasks of lm-evaluation-harness, asked of a base or a composition."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.files import write_json
from foundation.numbers import finite

if TYPE_CHECKING:
    from llm_experts.evaluation.candidate import Candidate
    from llm_experts.runtime.resident import ResidentBase

FILE = "lm_eval.json"


def run(
    on: ResidentBase,
    candidate: Candidate,
    tasks: Sequence[str],
    *,
    own_tasks: Path | None,
    limit: int | None,
    batch: int,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Results of some tasks, a row for each metric.

    Parameters
    ----------
    on, candidate
        What is asked.
    tasks : sequence of str
        Names of the harness's tasks.
    own_tasks : Path, optional
        Folder of further tasks.
    limit : int, optional
        Items of each task; None: all.
    batch : int
        Requests at once.
    seed : int
        Of the harness.

    Returns
    -------
    list of dict
        ``task, metric, estimate, low, high, n``; the interval is normal, from the harness's standard error.

    Raises
    ------
    EvaluationError
        If the harness is not installed, does not know a task, or asked fewer than 30 items.
    """
    from llm_experts.evaluation.error import EvaluationError
    from llm_experts.evaluation.harness import Harness, harness_model

    model = harness_model(Harness(on, candidate, batch))
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    known = TaskManager(include_path=None if own_tasks is None else str(own_tasks))
    unknown = [task for task in tasks if task not in known.all_tasks]
    if unknown:
        raise EvaluationError(
            f"lm-evaluation-harness has no task {unknown[0]!r}; `lm-eval ls tasks` lists them, and --lm-eval-tasks "
            "names a folder of others."
        )
    found = simple_evaluate(
        model=model, tasks=list(tasks), limit=limit, task_manager=known, log_samples=False, random_seed=seed,
        numpy_random_seed=seed, torch_random_seed=seed, fewshot_random_seed=seed,
    )  # fmt: skip
    return [row for task in tasks for row in _rows(task, found)]


def write(rows: Sequence[Mapping[str, Any]], folder: Path, model: str) -> Path:
    """Write the results as JSON."""
    path = folder / FILE
    write_json(path, finite({"model": model, "rows": [dict(row) for row in rows]}))
    return path


def _rows(task: str, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    from llm_experts.evaluation.examination import check_enough
    from metrics.proportions import Z

    n = int(found["n-samples"][task]["effective"])
    check_enough(n, f"The task {task}")
    results, rows = found["results"][task], []
    for name, value in results.items():
        metric, _, filter_ = name.partition(",")
        if not isinstance(value, int | float) or metric.endswith("_stderr") or not filter_:
            continue
        error = results.get(f"{metric}_stderr,{filter_}")
        half = Z * error if isinstance(error, int | float) else math.nan
        rows.append(
            {"task": task, "metric": metric, "estimate": value, "low": value - half, "high": value + half, "n": n}
        )
    return rows
