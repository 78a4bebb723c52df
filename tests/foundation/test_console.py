"""Brackets of users on the console."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.table import Table

from foundation.console import plain_console, styled

ROOT = Path(__file__).resolve().parents[2]


def printed(*things: object) -> str:
    out = io.StringIO()
    console = plain_console(file=out, width=200)
    for thing in things:
        console.print(thing, soft_wrap=True)
    return out.getvalue()


def test_brackets_are_text() -> None:
    table = Table(title="of [/data/a.csv]")
    table.add_column("[red]head")
    table.add_row("[label] :smile:")
    text = printed("no column [label] in [/data/a.csv]", table, styled("FAILED", "bold red", " [/x] [label]"))
    for words in (
        "[label] in [/data/a.csv]",
        "of [/data/a.csv]",
        "[red]head",
        "[label] :smile:",
        "FAILED [/x] [label]",
    ):
        assert words in text


def test_every_console_of_the_project_is_made_at_the_boundary() -> None:
    """Also: nobody writes markup, which such a console would show."""
    wrong = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("benchmarks", "experts", "gates", "llm_experts", "moe", "reports", "tasks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "speed" not in path.parts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(r"\bConsole\(|\[/\]|\[(bold|dim|red|green|yellow)\b[a-z ]*\]", line)
        or ("TextColumn(" in line and "{" in line and "markup=False" not in line)
    ]
    assert wrong == []
