"""One table as a file: for machines and for papers."""

from __future__ import annotations

from dataclasses import dataclass

Value = str | int | float
"""A cell of a CSV file; nan is written as nothing."""


@dataclass(frozen=True)
class Table:
    """One table: long and exact for machines (``columns``, ``rows``), short and rounded for papers (``heads``, …)."""

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
