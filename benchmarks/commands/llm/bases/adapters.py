"""``fairmoe llm adapters``: the kinds of adapters."""

from __future__ import annotations

from typing import Annotated

import typer

from foundation.console import plain_console


def adapters(
    width: Annotated[int, typer.Option(min=1, help="Hidden size of the base: nano has 128, Qwen3-0.6B 1024.")] = 128,
) -> None:
    """The kinds of adapters, and what tuning chooses of each: learning rates of matrices go with 1 / width.

    Example: fairmoe llm adapters --width 1024
    """
    from rich.table import Table

    from llm_experts.adapters.registry import ADAPTERS
    from llm_experts.training.search_space import learning_rates

    table = Table(title=f"kinds of adapters, on a base of width {width}")
    for column in ("kind", "title", "learning rates", "ranks", "layers"):
        table.add_column(column)
    for kind in ADAPTERS.values():
        ranks = (
            ", ".join("all" if r is None else str(r) for r in kind.rank_choices) if len(kind.rank_choices) > 1 else "–"
        )
        low, high = learning_rates(kind.name, width)
        where = "all (virtual tokens)" if kind.needs_full_model else "any"
        table.add_row(kind.name, kind.label, f"{low:g} … {high:g}", ranks, where)
    plain_console().print(table)
