"""``fairmoe monitor``: a saved model on new rows with labels, against what it promised."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.commands.models.predict import asked, counted, refuse_code
from benchmarks.commands.options import AllowUntrusted, Edges, GivenRows, InstalledExpert, ModelBase, Own, Trust
from foundation.console import plain_console, styled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    from rich.console import Console
    from rich.text import Text

    from benchmarks.models.monitoring.comparison import Compared, LimitNow
    from benchmarks.models.monitoring.report import MonitorReport
    from benchmarks.models.promise import Promise
    from benchmarks.models.saved import SavedModel
    from metrics.value import Value

OUTSIDE = 4
"""Exit code where something is worse than promised, or the limit is broken."""
STYLES = {"inside": "green", "outside": "bold red", "cannot tell": "yellow"}


def monitor(
    model: Annotated[
        Path | None, typer.Argument(help="Folder of a saved model, such as fairmoe choose writes, or a .expert file.")
    ] = None,
    rows: Annotated[
        str | None,
        typer.Argument(
            help="New raw rows with labels, in any format that fairmoe data card reads, or - for text on the standard "
            "input."
        ),
    ] = None,
    *,
    labels: Annotated[
        str, typer.Option(help="Column of the labels: values as in the published label column, or 0 and 1.")
    ],
    expert: InstalledExpert = None,
    given: GivenRows = None,
    groups: Annotated[
        str | None,
        typer.Option(help="Column of group names; default: groups are made of the columns that the card names."),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(help="Judge these metrics, such as dp,eopp,acc; fewer see smaller changes. Default: the usual."),
    ] = "",
    tolerance: Annotated[
        float | None, typer.Option(min=0, help="Largest change that does not matter: inside is then a sure statement.")
    ] = None,
    edges: Edges = None,
    own: Own = None,
    trust: Trust = None,
    base: ModelBase = None,
    allow_untrusted: AllowUntrusted = False,
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say whether a saved model does on new rows what it promised on test rows.

    Per metric: **inside** (no change is seen, and the rows are enough to see one), **outside** (the change is sure:
    the interval of the difference of both estimates, Holm-corrected over the metrics) or **cannot tell** (too few
    rows). Categories that no training row had count as empty cells, and are counted.

    Exit code **0**: nothing is worse for sure. **4**: a metric is outside on the bad side, or the demanded limit is
    broken. **2**: the rows or the model cannot be read.

    Examples: fairmoe monitor MODEL may.csv --labels default · fairmoe monitor MODEL may.csv --labels y --groups sex
    --metrics acc,eopp --json · fairmoe monitor --expert german-net --input may.csv --labels y
    """
    from benchmarks.commands.models.metric_option import metric_ids
    from benchmarks.models.files import read_rows
    from benchmarks.models.monitoring import report
    from benchmarks.models.monitoring.rows import gather

    wanted = metric_ids(metrics)
    which, source = asked(model, rows, expert, given)
    loaded, promise = _promising(which, own, trust or (), base, allow_untrusted)
    with counted() as advance:
        new = gather(loaded, _counting(read_rows(source, loaded.card, loaded.encoder), advance), labels, groups, edges)
    found = report.monitor(promise, new, wanted, tolerance=tolerance, seed=seed)
    if as_json:
        import json

        typer.echo(json.dumps({"model": str(which), "rows_file": source, **found.as_data()}, indent=2))
    else:
        _show(found, _where_promised(which), plain_console())
    if found.alarm:
        raise typer.Exit(OUTSIDE)


def _promising(
    which: Path | str, own: str | None, trust: Sequence[str], base: str | None, allow_untrusted: bool
) -> tuple[SavedModel, Promise]:
    """A model, and what it promised."""
    from benchmarks.models import load_model
    from benchmarks.models.packages import is_package, model_of, opened_expert
    from benchmarks.models.promise import Promise

    if isinstance(which, Path) and not is_package(which):
        return load_model(which, own=own, trust=trust, base=base), Promise.read(which)
    refuse_code(own, trust)
    with opened_expert(which, allow_untrusted=allow_untrusted) as found:
        return model_of(found, base), Promise.read(found.folder)


def _where_promised(which: Path | str) -> str:
    if isinstance(which, Path) and which.is_dir():
        return f"{which}/card.html"
    return f"fairmoe {'inspect' if str(which).endswith('.expert') else 'info'} {which}"


def _counting(parts: Iterator[pd.DataFrame], advance: object) -> Iterator[pd.DataFrame]:
    for part in parts:
        yield part
        if callable(advance):
            advance(len(part))


def _show(found: MonitorReport, model: str, console: Console) -> None:
    _show_metrics(found, console)
    if found.limit is not None:
        console.print(_limit_words(found.limit), soft_wrap=False, highlight=False)
    _show_groups(found, console)
    _show_hints(found, console)
    console.print()
    if found.worse:
        named = ", ".join(metric.metric for metric in found.worse)
        console.print(styled("WORSE THAN PROMISED", "bold red", f": {named}."), highlight=False)
    elif found.alarm:
        console.print(styled("THE LIMIT IS BROKEN", "bold red", "; nothing else is worse for sure."), highlight=False)
    else:
        console.print("Nothing is worse than promised for sure.")
    again = (
        "Next: look at the groups above; choose again with new rows: fairmoe choose" if found.alarm else "All: --json"
    )
    console.print(f"{again}. What was promised: {model}", soft_wrap=False, highlight=False)


def _show_metrics(found: MonitorReport, console: Console) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    title = f"{found.rows:,} new rows against {found.promised_rows:,} promised ones, 95 % intervals"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("metric", no_wrap=True)
    for name in ("promised", "now", "change"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for metric in found.metrics:
        change = "–" if math.isnan(metric.change) else f"{metric.change:+.3f}\n{metric.low:+.3f} … {metric.high:+.3f}"
        table.add_row(metric.metric, _value(metric.promised), _value(metric.now), change, _verdict(metric))
    console.print(table)
    for reason in dict.fromkeys(metric.reason for metric in found.metrics if metric.reason):
        named = ", ".join(metric.metric for metric in found.metrics if metric.reason == reason)
        console.print(f"{named}: {reason}.", highlight=False)


def _verdict(metric: Compared) -> Text:
    side = "" if metric.verdict != "outside" else ", worse" if metric.worse else ", better"
    return styled(metric.verdict + side, "green" if side == ", better" else STYLES[metric.verdict])


def _value(value: Value) -> str:
    if value.status == "not_estimable":
        return "–"
    ends = f"\n{value.low:.3f} … {value.high:.3f}" if math.isfinite(value.low) else ""
    return f"{value.estimate:.3f}{ends}"


def _limit_words(limit: LimitNow) -> str:
    from metrics.registry import METRICS

    bound = f"{limit.metric} {'at most' if METRICS[limit.metric].direction == 'lower' else 'at least'} {limit.limit:g}"
    if limit.now.status == "not_estimable":
        return f"Limit {bound}: cannot be told ({limit.now.reason})."
    told = "" if math.isnan(limit.probability) else f"; it holds with probability {limit.probability:.2f}"
    return f"Limit {bound}: now {limit.now.estimate:.3f} [{limit.now.low:.3f}, {limit.now.high:.3f}]{told}."


def _show_groups(found: MonitorReport, console: Console) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Groups: rows (share of class 1), and accuracy", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("group", overflow="fold")
    for name in ("rows then", "rows now", "accuracy then", "accuracy now"):
        table.add_column(name, justify="right")
    for group, sizes in found.groups.items():
        both = [sizes[when] for when in ("then", "now")]
        table.add_row(Text(group), *map(_rows_words, both), *map(_accuracy_words, both))
    console.print(table)
    for reason, count in found.left.items():
        console.print(f"{count:,} rows left out: {reason}.", highlight=False)


def _count(sizes: Mapping[str, int]) -> int:
    return sizes["negatives"] + sizes["positives"]


def _rows_words(sizes: Mapping[str, int]) -> str:
    count = _count(sizes)
    return f"{count:,}\n({sizes['positives'] / count:.1%})" if count else "0"


def _accuracy_words(sizes: Mapping[str, int]) -> str:
    from metrics.proportions import wilson

    count = _count(sizes)
    if not count:
        return "–"
    low, high = wilson(sizes["right"], count)
    return f"{sizes['right'] / count:.3f}\n{low:.3f} … {high:.3f}"


def _show_hints(found: MonitorReport, console: Console) -> None:
    drift = found.drift
    if drift is not None:
        word = "are spread otherwise than promised" if drift.p < 0.05 else "are spread as promised"
        console.print(
            f"Hint: probabilities {word}: PSI {drift.psi:.3f}, by chance up to {drift.null_p95:.3f} (p {drift.p:.3f}).",
            highlight=False,
        )
    changed = [column for column in found.columns if column.changed]
    for column in changed:
        parts = [f"{column.missing_now:.1%} empty ({column.missing_then:.1%} then)"]
        if column.unknown_now or column.unknown_then:
            parts.append(f"{column.unknown_now:.1%} unknown values ({column.unknown_then:.1%} then)")
        console.print(f"Hint: column {column.name}: {', '.join(parts)}.", highlight=False)
    if not changed:
        console.print("Hint: empty and unknown cells are as they were, in every column.", highlight=False)
