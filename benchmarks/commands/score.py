"""``fairmoe score``: the fixed metrics of anyone's predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def score(
    task: Annotated[str, typer.Option(help="Task, such as german or adult:sex+race, or the path of a card.")],
    predictions: Annotated[
        Path,
        typer.Option(
            help="CSV, .csv.gz or a benchmark's .parquet with the columns row (0-based, of the published file) and "
            "probability (of class 1). Other columns and rows that are no test rows are ignored."
        ),
    ],
    protocol: Annotated[
        str,
        typer.Option(
            help="robust (repeated stratified splits), large_test (repeated, 3,000 + 1,500 rows, the rest for the "
            "test) or nifty (the published split)."
        ),
    ] = "robust",
    split: Annotated[int, typer.Option(min=0, help="Which repetition of the split.")] = 0,
    seed: Annotated[int, typer.Option(help="Suite seed that repeated splits derive from.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Score predictions on the test rows of a task: estimate, interval, permutation null and status of every metric.

    Example: fairmoe score --task german --protocol nifty --predictions mine.csv
    """
    from benchmarks.commands.score_table import print_json, print_table
    from benchmarks.predictions.reading import read_predictions
    from metrics.evidence import Evidence
    from metrics.score import score as score_evidence
    from tasks.load import load_task

    loaded = load_task(task, protocol=protocol, split=split, seed=seed)
    rows = loaded.split.test
    probability = read_predictions(predictions, loaded, rows)
    scores = score_evidence(
        Evidence(probability), loaded.labels[rows], loaded.groups[rows], loaded.group_names, seed=seed
    )
    facts = {
        "task": loaded.name,
        "task_hash": loaded.hash,
        "protocol": protocol,
        "split": split,
        "split_hash": loaded.split.hash,
        "rows": len(rows),
    }
    if as_json:
        print_json(facts, scores)
    else:
        print_table(facts, scores)
