"""Scores of one prediction, printed as a table or as JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import typer

from foundation.console import plain_console
from foundation.numbers import finite

if TYPE_CHECKING:
    from metrics.score import Scores

NUMBERS = ("estimate", "95 % interval", "null p95")


def print_json(facts: dict[str, object], scores: Scores) -> None:
    """Print every metric and group as JSON; infinities and nan become null."""
    import json
    from dataclasses import asdict

    values = {k: finite(asdict(v)) for k, v in scores.values.items()}
    groups = [finite(asdict(row)) for row in scores.groups]
    data = {**facts, "degenerate": scores.degenerate, "metrics": values, "groups": groups}
    typer.echo(json.dumps(data, indent=2))


def print_table(facts: dict[str, object], scores: Scores) -> None:
    """Print every metric that can be estimated, and below it what cannot, by reason; it fits 80 columns."""
    from rich.table import Table
    from rich.text import Text

    from metrics.registry import spec

    title = f"{facts['task']} · {facts['protocol']} split {facts['split']} · {facts['rows']} test rows"
    table = Table(title=Text(title))
    for name in ("metric", "estimate", "95 % interval", "null p95", "better", "status"):
        table.add_column(name, justify="right" if name in NUMBERS else "left", no_wrap=True)
    notes: dict[str, list[str]] = {}
    for metric, value in scores.values.items():
        if value.status != "ok":
            notes.setdefault(f"{value.status.replace('_', ' ')}, {value.reason}", []).append(metric)
        if value.status != "not_estimable":
            interval = " … ".join(map(_digits, (value.low, value.high))) if math.isfinite(value.low) else "–"
            numbers = (_digits(value.estimate), interval, _digits(value.null_p95))
            table.add_row(metric, *numbers, spec(metric).direction, value.status)
    console = plain_console()
    console.print(table)
    for reason, metrics in notes.items():
        console.print(Text(f"{', '.join(metrics)}: {reason}"))


def _digits(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "–"
