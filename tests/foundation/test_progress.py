"""Bars of several parts: one each, which appear with their first news, and nothing where there is no terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from foundation.progress import CountedBars, counted_bars, silent


def test_each_part_has_a_bar_of_its_own_total() -> None:
    progress = Progress(console=Console(file=io.StringIO()))
    bars = CountedBars(progress)
    bars.tell("reading", 2, 5)
    bars.tell("writing", 0, 0)
    bars.tell("reading", 3, 5)
    assert [(task.description, task.completed, task.total) for task in progress.tasks] == [
        ("reading", 3, 5), ("writing", 0, None),
    ]  # fmt: skip
    bars.tell("writing", 4, 8)  # its total is known later
    bars.finish("writing")
    bars.finish("never told of")
    assert [(task.completed, task.total) for task in progress.tasks] == [(3, 5), (8, 8)]


@pytest.mark.parametrize(
    ("terminal", "always", "shown"), [(True, False, True), (False, False, False), (False, True, True)]
)
def test_where_bars_are_shown(terminal: bool, always: bool, shown: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80)
    with counted_bars(console, always=always) as bars:
        bars.tell("part [one]", 1, 2)
    assert ("part [one]" in console.file.getvalue()) == shown  # type: ignore[attr-defined]


def test_nobody_watches() -> None:
    silent("reading", 1, 2)
