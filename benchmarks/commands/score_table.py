"""Scores of one prediction, printed as a table or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from foundation.console import plain_console
from foundation.numbers import finite

if TYPE_CHECKING:
    from metrics.score import Scores


def print_json(facts: dict[str, object], scores: Scores) -> None:
    """Print every metric and group as JSON; infinities and nan become null."""
    import json
    from dataclasses import asdict

    values = {k: finite(asdict(v)) for k, v in scores.values.items()}
    groups = [finite(asdict(row)) for row in scores.groups]
    data = {**facts, "degenerate": scores.degenerate, "metrics": values, "groups": groups}
    typer.echo(json.dumps(data, indent=2))


def print_table(facts: dict[str, object], scores: Scores) -> None:
    """Print every metric of a scored part."""
    import math

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
    for metric, value in scores.values.items():
        interval = f"{value.low:.4f} … {value.high:.4f}" if math.isfinite(value.low) else "–"
        null = f"{value.null_p95:.4f}" if math.isfinite(value.null_p95) else "–"
        estimate = f"{value.estimate:.4f}" if math.isfinite(value.estimate) else "–"
        status = value.status if value.status == "ok" else f"{value.status}: {value.reason}"
        table.add_row(metric, estimate, interval, null, spec(metric).direction, status)
    plain_console().print(table)
