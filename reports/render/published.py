"""Published numbers beside ours: signs and words of the comparison, and its table for machines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from reports.names import metric_symbol
from reports.published.verdicts import Board, Ours, Published, Verdict
from reports.summary import Report

MARKS: Mapping[Verdict, str] = {
    "inside": "✓", "outside": "✗", "no interval": "·", "unchecked": "?", "not measured": "–",
}  # fmt: skip
"""Signs of the verdicts, so that none depends on colour."""


def ours_text(ours: Ours) -> str:
    """``73.44±1.09``; without a spread for one seed; "n/e" where there is no number."""
    if math.isnan(ours.mean):
        return "n/e"
    return f"{ours.mean:.2f}" if math.isnan(ours.std) else f"{ours.mean:.2f}±{ours.std:.2f}"


def explained(report: Report, board: Board) -> list[tuple[str, str, str]]:
    """(method, metrics, why) of the cells that lie outside, in words."""
    return [(report.label(m), ", ".join(map(metric_symbol, metrics)), why) for m, metrics, why in board.explained]


COLUMNS = (
    "dataset", "method", "metric", "ours", "ours_std", "seeds", "constant_seeds", "published", "published_std", "low",
    "high", "basis", "verdict", "verdict_cell", "source", "read", "checked", "explanation",
)  # fmt: skip
"""Columns of ``published.csv``; numbers ×100."""


def published_table(found: Published) -> pd.DataFrame:
    """One row per cell × source: the content of ``published.csv``."""
    return pd.DataFrame([dict(zip(COLUMNS, row, strict=True)) for row in _lines(found)], columns=list(COLUMNS))


def _lines(found: Published) -> Iterator[tuple[Any, ...]]:
    for c in found.cells:
        for f in c.findings:
            yield (
                c.dataset, c.method, c.metric, c.ours.mean, c.ours.std, c.ours.seeds, c.ours.constant, f.printed.mean,
                f.printed.std, f.low, f.high, f.basis, f.verdict, c.verdict, f"{f.source.paper}: {f.source.where}",
                f.source.read, f.source.checked, c.explanation,
            )  # fmt: skip
