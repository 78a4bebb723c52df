"""``fairmoe score``: the fixed metrics of anyone's predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.commands.options import Protocol, Split, SplitSeed, TaskName

if TYPE_CHECKING:
    from metrics.score import Scores
    from tasks.task import Task


def score(
    task: TaskName,
    predictions: Annotated[
        Path,
        typer.Option(
            help="CSV, .csv.gz or a benchmark's .parquet with the columns row (0-based, of the published file) and "
            "probability (of class 1); other columns and rows that are no test rows are ignored. Or the output folder "
            "of a bench run: all its methods on this task and split."
        ),
    ],
    protocol: Protocol = "robust",
    split: Split = 0,
    metrics: Annotated[
        str, typer.Option(help="Only these metrics, such as dp,eopp,acc; the version may be left out. Default: all.")
    ] = "",
    method: Annotated[
        list[str] | None, typer.Option(help="Of a run's folder, only these methods (repeat the option).")
    ] = None,
    seed: SplitSeed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Score predictions on the test rows of a task: estimate, interval, permutation null and status of every metric.

    Which rows these are: fairmoe splits --task T --part test.

    Examples: fairmoe score --task german --protocol nifty --predictions mine.csv · fairmoe score --task adult:sex
    --protocol large_test --predictions results/quick --metrics acc,dp,eopp
    """
    from benchmarks.commands.models.metric_option import metric_ids
    from tasks.load import load_task

    wanted = metric_ids(metrics)
    loaded = load_task(task, protocol=protocol, split=split, seed=seed)
    facts: dict[str, object] = {
        "task": loaded.name,
        "task_hash": loaded.hash,
        "protocol": protocol,
        "split": split,
        "split_hash": loaded.split.hash,
        "rows": len(loaded.split.test),
    }
    if predictions.is_dir():
        _show_run(predictions, loaded, facts, wanted, method or [], seed, as_json)
    else:
        _show_one(predictions, loaded, facts, wanted, seed, as_json)


def _show_one(
    path: Path, task: Task, facts: dict[str, object], wanted: tuple[str, ...], seed: int, as_json: bool
) -> None:
    from benchmarks.commands.models.score_table import print_groups, print_json, print_table

    scores = _scored(path, task, wanted, seed)
    if as_json:
        print_json(facts, scores)
    else:
        print_table(facts, scores)
        print_groups(scores)


def _show_run(
    folder: Path, task: Task, facts: dict[str, object], wanted: tuple[str, ...], methods: list[str], seed: int,
    as_json: bool,
) -> None:  # fmt: skip
    from benchmarks.commands.models.score_table import print_many, print_many_json
    from benchmarks.predictions.run_folder import stored_predictions

    stored = stored_predictions(folder, task, methods)
    if len(stored) == 1 and not as_json:
        _show_one(stored[0].path, task, facts, wanted, seed, as_json)
        return
    found = [(one, _scored(one.path, task, wanted, seed)) for one in stored]
    if as_json:
        print_many_json(facts, found)
    else:
        print_many(facts, found, wanted)


def _scored(path: Path, task: Task, wanted: tuple[str, ...], seed: int) -> Scores:
    """Scores of one file, only of the metrics that are asked for."""
    from dataclasses import replace

    from benchmarks.predictions.reading import read_predictions
    from metrics.evidence import Evidence
    from metrics.registry import CFA_METRICS
    from metrics.score import score as score_evidence

    rows = task.split.test
    probability = read_predictions(path, task, rows)
    asked = bool(set(wanted) & set(CFA_METRICS))
    known = (task.labels[rows], task.groups[rows], task.group_names)
    scores = score_evidence(Evidence(probability), *known, seed=seed, cfa=asked)
    return replace(scores, values={id: scores.values[id] for id in wanted}) if wanted else scores
