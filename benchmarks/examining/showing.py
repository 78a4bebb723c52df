"""Tables of an examination on a console of 80 columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.examining.holding import Examined, Held

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from llm_experts.evaluation.compare import Comparison
    from llm_experts.evaluation.examination import ScoreRow

SURE = 0.05


def show(held: Held, console: Console) -> None:
    """Print a table for each model beside the base, and what else has to be known."""
    base = held.models[0]
    if len(held.models) == 1:
        console.print(_alone(held, base))
    for model in held.models[1:]:
        console.print(_beside(held, model, base))
    for sentence in sentences(held):
        console.print(f"note: {sentence}", soft_wrap=True, markup=False)


def show_harness(model: str, rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print what lm-evaluation-harness found."""
    from rich.table import Table

    table = Table(title=f"{model}, asked by lm-evaluation-harness")
    for column in ("task", "metric", "estimate [95 %]", "items"):
        table.add_column(column, overflow="fold")
    for row in rows:
        ends = f"{number(row['estimate'])} [{number(row['low'])}, {number(row['high'])}]"
        table.add_row(row["task"], row["metric"], ends, f"{row['n']}")
    console.print(table)


def sentences(held: Held) -> list[str]:
    """What else has to be known to read the scores."""
    found = []
    reasons = dict.fromkeys(
        f"{row.label}: {row.reason}" for model in held.models for row in model.rows if row.status != "ok"
    )
    found += list(reasons)
    for model in held.models:
        answers = sum(len(item.answers) for item in model.items)
        if model.cut:
            found.append(f"{model.cut} of {answers} answers of {model.name} ended at the limit of tokens")
        if model.unread:
            found.append(f"{model.unread} of {answers} prompts leave {model.name} no room, and count as not answered")
        if model.contamination is not None:
            found.append(f"{model.name}: {model.contamination.described()}")
            found += [_clean(row) for row in model.contamination.clean if row.status == "ok"]
    return found


def verdict(comparison: Comparison) -> str:
    """What a comparison with the base says, in one sentence."""
    if comparison.status != "ok":
        return f"{comparison.model}: no comparison by {comparison.score} ({comparison.reason})."
    told = f"{comparison.score} {signed(comparison.difference)} [{signed(comparison.low)}, {signed(comparison.high)}]"
    p = f"p {p_value(comparison.p_holm)}"
    if comparison.p_holm > SURE:
        return f"{comparison.model} cannot be told from the base: {told}, {p}."
    return f"{comparison.model} and the base differ: {told}, {p}."


def number(value: float) -> str:
    """A score: three decimals below 10, one below 1,000; a dash for none."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    return f"{value:.3f}" if size < 10 else f"{value:.1f}" if size < 1000 else f"{value:,.0f}"


def signed(value: float) -> str:
    """The same with its sign."""
    return ("+" if value > 0 else "") + number(value)


def p_value(value: float) -> str:
    """A p-value as people write it."""
    if not math.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _title(held: Held, model: Examined) -> str:
    part = f" ({held.material.part})" if held.material.part else ""
    return f"{model.name} on {held.material.name}{part}, {len(held.material.examples)} items"


def _alone(held: Held, model: Examined) -> Table:
    from rich.table import Table

    table = Table(title=_title(held, model))
    for column in ("score", "estimate [95 %]"):
        table.add_column(column)
    for row in model.rows:
        table.add_row(row.label, _interval(row))
    return table


def _beside(held: Held, model: Examined, base: Examined) -> Table:
    from rich.table import Table

    several = len(held.models) > 2
    table = Table(title=_title(held, model), caption="p by Holm over the models" if several else None, pad_edge=False)
    for column in ("score", "base [95 %]", "expert [95 %]", "difference [95 %]", "p"):
        table.add_column(column)
    mine = {one.score: one for one in held.comparisons if one.model == model.name}
    for row, before in zip(model.rows, base.rows, strict=True):
        table.add_row(row.label, _interval(before), _interval(row), *_difference(mine[row.score]))
    return table


def _interval(row: ScoreRow) -> str:
    return f"{number(row.estimate)}\n[{number(row.low)}, {number(row.high)}]" if row.status == "ok" else "–"


def _difference(one: Comparison) -> tuple[str, str]:
    if one.status != "ok":
        return "–", "–"
    return f"{signed(one.difference)}\n[{signed(one.low)}, {signed(one.high)}]", p_value(one.p_holm)


def _clean(row: ScoreRow) -> str:
    return f"{row.label} of the {row.n} items that were not learnt: {number(row.estimate)} " + (
        f"[{number(row.low)}, {number(row.high)}]"
    )
