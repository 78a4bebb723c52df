"""Published numbers as ``published.toml`` has them: sources, numbers as printed, caveats, explanations.

They are data, so that a person who finds a misprint edits no code.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from reports.table import ReportError

NUMBERS = Path(__file__).resolve().parent.parent / "published.toml"
METRICS = ("auc@1", "f1@1", "acc@1", "dp@1", "eopp@1")

_VALUE = re.compile(r"(\d+(?:\.(\d+))?)(?:±(\d+(?:\.\d+)?))?")


@dataclass(frozen=True)
class Source:
    """Where numbers were printed, and how they were read.

    Attributes
    ----------
    id : str
    paper, where : str
        Who, and which table.
    read : str
        "figure", "README", "leaderboard", "notebook", "arithmetic" or "from memory, unchecked".
    checked : bool
        Whether the number was seen in the source; False: it decides nothing.
    exact : bool
        Whether it follows by arithmetic, so that only rounding is allowed.
    note : str
        What else to know.
    """

    id: str
    paper: str
    where: str
    read: str
    checked: bool
    exact: bool = False
    note: str = ""


@dataclass(frozen=True)
class Printed:
    """A published number as printed, ×100: ``std`` is nan without a spread, ``unit`` is that of the last digit."""

    text: str
    mean: float
    std: float
    unit: float


@dataclass(frozen=True)
class Row:
    """What one source says of one method on one data set."""

    dataset: str
    method: str
    source: Source
    values: Mapping[str, Printed]


Side = Literal["below", "above", "between"]
"""Where ours lies: below all checked values that it misses, above all, or between them."""


@dataclass(frozen=True)
class Explanation:
    """Why ours lies outside, on one side and within a range (of our mean, ×100): beyond it the words say nothing."""

    text: str
    side: Side
    low: float
    high: float


@dataclass(frozen=True)
class Shipped:
    """Content of ``published.toml``."""

    sources: Mapping[str, Source]
    rows: tuple[Row, ...]
    caveats: Mapping[str, tuple[str, ...]]
    explanations: Mapping[tuple[str, str, str], tuple[Explanation, ...]]
    """(method, data set, metric) → why ours lies outside, and where it may lie for that."""
    labels: Mapping[str, str]
    """Method → what it is called when a run does not hold it."""

    def explanation(self, cell: tuple[str, str, str], side: Side, ours: float) -> str:
        """The words for a cell (method, data set, metric) whose mean lies there; empty without any that cover it."""
        known = self.explanations.get(cell, ())
        return next((e.text for e in known if e.side == side and e.low <= ours <= e.high), "")


@cache
def load_published(path: Path = NUMBERS) -> Shipped:
    """The published numbers.

    Raises
    ------
    ReportError
        If a number is not "mean" or "mean±std", or a row names an unknown source or metric, or a source says the same
        twice, or an explanation does not say of which cells, side and range it speaks.
    """
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    sources = {name: Source(id=name, **facts) for name, facts in data["sources"].items()}
    rows = tuple(_row(entry, sources, path) for entry in data["rows"])
    keys = [(row.dataset, row.method, row.source.id) for row in rows]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        raise ReportError(f"{path.name} has two rows for {' · '.join(twice[0])}. Put their values into one row.")
    caveats: dict[str, tuple[str, ...]] = {}
    for entry in data.get("caveats", ()):
        caveats[entry["dataset"]] = (*caveats.get(entry["dataset"], ()), entry["text"])
    return Shipped(sources, rows, caveats, _explanations(data, path), data.get("labels", {}))


def _explanations(data: Mapping[str, Any], path: Path) -> dict[tuple[str, str, str], tuple[Explanation, ...]]:
    found: dict[tuple[str, str, str], tuple[Explanation, ...]] = {}
    for entry in data.get("explanations", ()):
        for cell in entry.get("cells") or [{}]:
            key = cell.get("method", ""), entry["dataset"], cell.get("metric", "")
            low, high = cell.get("low", math.nan), cell.get("high", math.nan)
            if key[2] not in METRICS or cell.get("side") not in get_args(Side) or not low <= high:
                raise ReportError(
                    f"{path.name}, explanation {entry['text'][:40]!r} of {entry['dataset']}: the cell {cell} does not "
                    f"say what it explains. Write method, metric ({', '.join(METRICS)}), side "
                    f"({', '.join(get_args(Side))}), and low ≤ high of our mean, ×100."
                )
            found[key] = (*found.get(key, ()), Explanation(entry["text"], cell["side"], low, high))
    return found


def _row(entry: Mapping[str, Any], sources: Mapping[str, Source], path: Path) -> Row:
    where = f"{path.name}, row {entry['dataset']} · {entry['method']}"
    if entry["source"] not in sources:
        raise ReportError(f"{where}: there is no source {entry['source']!r}. Add [sources.{entry['source']}].")
    unknown = sorted(set(entry["values"]) - set(METRICS))
    if unknown:
        raise ReportError(f"{where}: the metric {unknown[0]!r} is not compared. Use {', '.join(METRICS)}.")
    return Row(
        dataset=entry["dataset"],
        method=entry["method"],
        source=sources[entry["source"]],
        values={k: parse(v, where) for k, v in entry["values"].items()},
    )


def parse(text: str, where: str = "published.toml") -> Printed:
    """A number as printed, such as "74.11±0.37" or "39.52".

    Raises
    ------
    ReportError
        If the text is anything else.
    """
    found = _VALUE.fullmatch(text)
    if found is None:
        raise ReportError(f"{where}: {text!r} is no number as printed. Write it as in the source: 74.11±0.37 or 39.52.")
    mean, decimals, std = found.groups()
    return Printed(text, float(mean), math.nan if std is None else float(std), 10.0 ** -len(decimals or ""))
