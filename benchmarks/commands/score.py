"""``fairmoe score``: the fixed metrics of anyone's predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foundation.numbers import finite


def score(
    task: Annotated[str, typer.Option(help="Task, such as german or adult:sex+race, or the path of a card.")],
    predictions: Annotated[
        Path, typer.Option(help="CSV with the columns row (0-based, of the published file) and probability.")
    ],
    protocol: Annotated[
        str, typer.Option(help="nifty (the published split) or robust (repeated stratified splits).")
    ] = "robust",
    split: Annotated[int, typer.Option(min=0, help="Which repetition of the robust split.")] = 0,
    seed: Annotated[int, typer.Option(help="Suite seed that the robust splits derive from.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Score predictions on the test rows of a task: estimate, interval, permutation null and status of every metric.

    Example: fairmoe score --task german --protocol nifty --predictions mine.csv
    """
    from benchmarks.commands.predictions import read_predictions
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
        _print_json(facts, scores)
    else:
        print_table(facts, scores)


def _print_json(facts: dict[str, object], scores: object) -> None:
    import json
    from dataclasses import asdict

    values = {k: finite(asdict(v)) for k, v in scores.values.items()}  # type: ignore[attr-defined]
    groups = [finite(asdict(row)) for row in scores.groups]  # type: ignore[attr-defined]
    data = {**facts, "degenerate": scores.degenerate, "metrics": values, "groups": groups}  # type: ignore[attr-defined]
    typer.echo(json.dumps(data, indent=2))


def print_table(facts: dict[str, object], scores: object) -> None:
    """Print every metric of a scored part."""
    import math

    from rich.console import Console
    from rich.table import Table

    from metrics.registry import spec

    table = Table(title=f"{facts['task']} · {facts['protocol']} split {facts['split']} · {facts['rows']} test rows")
    for name, justify in (
        ("metric", "left"),
        ("estimate", "right"),
        ("95 % interval", "right"),
        ("null p95", "right"),
        ("better", "left"),
        ("status", "left"),
    ):
        table.add_column(name, justify=justify, no_wrap=name != "status")  # type: ignore[arg-type]
    for metric, value in scores.values.items():  # type: ignore[attr-defined]
        interval = f"{value.low:.4f} … {value.high:.4f}" if math.isfinite(value.low) else "–"
        null = f"{value.null_p95:.4f}" if math.isfinite(value.null_p95) else "–"
        estimate = f"{value.estimate:.4f}" if math.isfinite(value.estimate) else "–"
        status = value.status if value.status == "ok" else f"{value.status}: {value.reason}"
        table.add_row(metric, estimate, interval, null, spec(metric).direction, status)
    Console().print(table)
