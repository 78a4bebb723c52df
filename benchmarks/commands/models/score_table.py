"""Scores of predictions, printed as tables of at most 80 columns or as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from foundation.console import plain_console
from foundation.numbers import finite

if TYPE_CHECKING:
    from benchmarks.predictions.run_folder import StoredPrediction
    from metrics.score import GroupRow, Scores
    from metrics.value import Value

NUMBERS = ("estimate", "95 % interval", "null p95")
SIDE_BY_SIDE = ("acc@1", "auc@1", "dp@1", "eopp@1", "fair_res@1")
"""Metrics of several methods that are shown when none are named."""
MOST_SIDE_BY_SIDE = 5
RATES = {"selection_rate": "selected", "tpr": "TPR", "fpr": "FPR", "accuracy": "accuracy"}


def print_json(facts: dict[str, object], scores: Scores) -> None:
    """Print every metric and group as JSON; infinities and nan become null."""
    import json

    typer.echo(json.dumps({**facts, **_as_data(scores)}, indent=2))


def print_many_json(facts: dict[str, object], found: Sequence[tuple[StoredPrediction, Scores]]) -> None:
    """Print the scores of several methods as JSON."""
    import json

    methods = [
        {"method": one.method, "use_sensitive": one.use_sensitive, "seed": one.seed, **_as_data(scores)}
        for one, scores in found
    ]
    typer.echo(json.dumps({**facts, "methods": methods}, indent=2))


def _as_data(scores: Scores) -> dict[str, Any]:
    from dataclasses import asdict

    values = {k: finite(asdict(v)) for k, v in scores.values.items()}
    return {
        "degenerate": scores.degenerate,
        "metrics": values,
        "groups": [finite(asdict(row)) for row in scores.groups],
    }


def print_table(facts: dict[str, object], scores: Scores) -> None:
    """Print every metric that can be estimated, and below it what cannot, by reason; it fits 80 columns."""
    from rich.table import Table
    from rich.text import Text

    from metrics.registry import spec

    table = Table(title=Text(_title(facts)))
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
    if table.row_count:
        console.print(table)
    for reason, metrics in notes.items():
        console.print(Text(f"{', '.join(metrics)}: {reason}"))


def print_groups(scores: Scores) -> None:
    """Print sizes and rates of every group, each rate above its 95 % interval; it fits 80 columns."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="by group: rates with 95 % intervals")
    table.add_column("group", overflow="fold")
    for name in ("rows", "class 1", *RATES.values()):
        table.add_column(name, justify="right", no_wrap=True)
    for group in dict.fromkeys(row.group for row in scores.groups):
        found = {row.statistic: row for row in scores.groups if row.group == group}
        counts = [f"{found[name].estimate:,.0f}" for name in ("count", "positives")]
        table.add_row(Text(group), *counts, *(_rate(found[rate]) for rate in RATES))
    plain_console().print(table)


def print_many(
    facts: dict[str, object], found: Sequence[tuple[StoredPrediction, Scores]], wanted: Sequence[str]
) -> None:
    """Print one row per method, each estimate above its interval; it fits 80 columns."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    shown = list(wanted or SIDE_BY_SIDE)
    console = plain_console()
    for start in range(0, len(shown), MOST_SIDE_BY_SIDE):
        part = shown[start : start + MOST_SIDE_BY_SIDE]
        table = Table(title=Text(_title(facts)), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("method", overflow="fold", min_width=16)
        for metric in part:
            table.add_column(metric, justify="right", no_wrap=True)
        for one, scores in found:
            table.add_row(Text(_name(one)), *(_value(scores.values[metric]) for metric in part))
        console.print(table)
    if any(scores.degenerate for _, scores in found):
        console.print("* degenerate: (nearly) all rows are decided alike, which makes every gap small.")
    console.print("One method with all its metrics and groups: --method NAME. For machines: --json.")


def _title(facts: dict[str, object]) -> str:
    return f"{facts['task']} · {facts['protocol']} split {facts['split']} · {facts['rows']} test rows"


def _name(one: StoredPrediction) -> str:
    further = (["sensitive dropped"] if one.use_sensitive == "drop" else []) + (
        [f"seed {one.seed}"] if one.seed else []
    )
    return ", ".join((one.method, *further))


def _value(value: Value) -> str:
    if value.status == "not_estimable":
        return "–"
    mark = "" if value.status == "ok" else "*"
    return f"{value.estimate:.3f}{mark}\n{_between(value.low, value.high)}"


def _rate(row: GroupRow) -> str:
    return "–" if math.isnan(row.estimate) else f"{row.estimate:.3f}\n{_between(row.low, row.high)}"


def _between(low: float, high: float) -> str:
    return f"{low:.2f}–{high:.2f}" if math.isfinite(low) and math.isfinite(high) else ""


def _digits(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "–"
