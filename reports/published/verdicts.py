"""What others have published for a method, beside what it reaches here.

The published numbers lie in ``published.toml`` (:mod:`reports.published.numbers`). The rules:

- Only results of the protocol "nifty" are compared, on test rows and with the sensitive column among the features:
  that is what the papers do. Ours is the mean over training seeds.
- A published "mean±std" allows mean ± 2·std. A published value without a spread is one run: it allows ±2 standard
  deviations of *our* seeds. A value that follows by arithmetic allows nothing. Half a unit of the last printed digit
  is allowed on top.
- A cell is *inside* when it is inside of at least one checked source. Sources that are quoted from memory are shown
  and decide nothing.
- An explanation of a cell that is outside holds for the side and the range of our value that it names, and no further:
  what lies elsewhere is unexplained.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from reports.published.numbers import METRICS, Printed, Row, Shipped, Side, Source, load_published
from reports.table import Tables

PROTOCOL = "nifty"
WIDTH = 2.0
"""Standard deviations on either side of a mean that still count as the same number."""

WIDEST = 10.0
"""Widest half interval, in points, that our own seeds may give to one published run: beyond it everything is inside."""

Verdict = Literal["inside", "outside", "no interval", "unchecked", "not measured"]


@dataclass(frozen=True)
class Ours:
    """Our number, ×100: mean and standard deviation (n − 1) over seeds.

    ``seeds`` counts those with a value, ``asked`` all of them, ``constant`` those whose prediction is (nearly) the same
    for every row.
    """

    mean: float
    std: float
    seeds: int
    asked: int
    constant: int


@dataclass(frozen=True)
class Finding:
    """One published number against ours; ``low`` and ``high`` are nan where nothing is allowed to be said."""

    source: Source
    printed: Printed
    low: float
    high: float
    basis: str
    verdict: Verdict


@dataclass(frozen=True)
class Cell:
    """A method on a data set in one metric, with every source that has it."""

    dataset: str
    method: str
    metric: str
    ours: Ours
    findings: tuple[Finding, ...]
    verdict: Verdict
    explanation: str

    @property
    def unexplained(self) -> bool:
        """Whether it lies outside and nobody has said why."""
        return self.verdict == "outside" and not self.explanation

    def finding(self, source: str) -> Finding | None:
        """What a source says, None if it has no such number."""
        return next((f for f in self.findings if f.source.id == source), None)


@dataclass(frozen=True)
class Board:
    """One data set: cells of the methods of the run, rows of methods that are not in it, caveats."""

    dataset: str
    cells: Mapping[tuple[str, str], Cell]
    """(method, metric) → cell, in the order of the run's methods and of ``METRICS``."""
    sources: tuple[Source, ...]
    reference: tuple[Row, ...]
    caveats: tuple[str, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods with a published number, in the order of the run."""
        return tuple(dict.fromkeys(method for method, _ in self.cells))

    def sources_of(self, method: str) -> tuple[Source, ...]:
        """Sources that have a number of a method."""
        here = {f.source.id for metric in METRICS for f in self._findings(method, metric)}
        return tuple(s for s in self.sources if s.id in here)

    def number(self, source: Source) -> int:
        """Mark of a source in the table, from 1."""
        return self.sources.index(source) + 1

    def of(self, verdict: Verdict) -> list[Cell]:
        """Cells with a verdict."""
        return [cell for cell in self.cells.values() if cell.verdict == verdict]

    @property
    def explained(self) -> list[tuple[str, list[str], str]]:
        """(method, metrics, why) of the cells that lie outside; metrics with the same words stand together."""
        together: dict[tuple[str, str], list[str]] = {}
        for cell in self.of("outside"):
            together.setdefault((cell.method, cell.explanation), []).append(cell.metric)
        return [(method, metrics, why) for (method, why), metrics in together.items()]

    def _findings(self, method: str, metric: str) -> tuple[Finding, ...]:
        cell = self.cells.get((method, metric))
        return cell.findings if cell else ()


@dataclass(frozen=True)
class Published:
    """The comparison of a run with what is published."""

    boards: tuple[Board, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    """Method → what it is called when a run does not hold it."""

    @property
    def cells(self) -> list[Cell]:
        """All cells of all data sets."""
        return [cell for board in self.boards for cell in board.cells.values()]

    def count(self, verdict: Verdict) -> int:
        """Number of cells with a verdict."""
        return sum(cell.verdict == verdict for cell in self.cells)

    @property
    def unexplained(self) -> list[Cell]:
        """Cells outside without an explanation."""
        return [cell for cell in self.cells if cell.unexplained]


def published(tables: Tables, shipped: Shipped | None = None) -> Published | None:
    """Compare a run with the published numbers.

    Parameters
    ----------
    tables : Tables
    shipped : Shipped, optional
        The numbers; by default those of ``published.toml``.

    Returns
    -------
    Published or None
        None when the run has no result of the published protocol on a data set with published numbers.
    """
    shipped = shipped or load_published()
    rows = tables.results
    rows = rows[(rows["protocol"] == PROTOCOL) & (rows["part"] == "test") & (rows["use_sensitive"] == "keep")]
    datasets = [d for d in dict.fromkeys(row.dataset for row in shipped.rows) if (rows["task"] == d).any()]
    asked = int(tables.suite["seeds"])
    boards = [_board(d, rows[rows["task"] == d], _order(tables, rows), asked, shipped) for d in datasets]
    boards = [board for board in boards if board.cells]
    return Published(tuple(boards), shipped.labels) if boards else None


def _order(tables: Tables, rows: pd.DataFrame) -> list[str]:
    present = sorted(set(rows["method"]))
    return list(dict.fromkeys([*(m for m in tables.suite["methods"] if m in present), *present]))


def _board(dataset: str, rows: pd.DataFrame, methods: list[str], asked: int, shipped: Shipped) -> Board:
    said = [row for row in shipped.rows if row.dataset == dataset]
    cells = {}
    for method in methods:
        own = rows[rows["method"] == method]
        for metric in METRICS:
            found = [(r.source, r.values[metric]) for r in said if r.method == method and metric in r.values]
            if found and len(own):
                cells[method, metric] = _cell((method, dataset, metric), _ours(own, metric, asked), found, shipped)
    here = {method for method, _ in cells}
    used = {row.source for row in said}
    return Board(
        dataset=dataset,
        cells=cells,
        sources=tuple(s for s in shipped.sources.values() if s in used),
        reference=tuple(row for row in said if row.method not in here),
        caveats=shipped.caveats.get(dataset, ()),
    )


def _ours(rows: pd.DataFrame, metric: str, asked: int) -> Ours:
    values = 100 * rows.loc[rows["metric"] == metric, "estimate"].dropna()
    constant = int(((rows["metric"] == "dp@1") & (rows["status"] == "degenerate")).sum())  # flagged on gaps alone
    std = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return Ours(float(values.mean()) if len(values) else math.nan, std, len(values), asked, constant)


def _cell(key: tuple[str, str, str], ours: Ours, found: Iterable[tuple[Source, Printed]], shipped: Shipped) -> Cell:
    method, dataset, metric = key
    findings = tuple(judge(ours, source, printed) for source, printed in found)
    verdict = overall(findings, ours)
    why = shipped.explanation(key, side_of(ours, findings), ours.mean) if verdict == "outside" else ""
    return Cell(dataset, method, metric, ours, findings, verdict, why)


def side_of(ours: Ours, findings: Iterable[Finding]) -> Side:
    """On which side of the checked published values that it misses ours lies."""
    missed = [f for f in findings if f.source.checked and f.verdict == "outside"]
    if all(ours.mean < f.low for f in missed):
        return "below"
    return "above" if all(ours.mean > f.high for f in missed) else "between"


def judge(ours: Ours, source: Source, printed: Printed) -> Finding:
    """One published number against ours.

    Parameters
    ----------
    ours : Ours
    source : Source
    printed : Printed
        What the source prints.

    Returns
    -------
    Finding
        Verdict "inside", "outside", "no interval" (neither side has a spread and the digits differ, or only ours has
        one and it is wider than ``WIDEST``) or "not measured".
    """
    if math.isnan(ours.mean):
        return Finding(source, printed, math.nan, math.nan, "not measured here", "not measured")
    half, basis = _allowed(ours, source, printed)
    # printed digits are rounded: half a unit of the last one lies on either side, and a hair for binary fractions
    rounding = printed.unit / 2 * (1 + 1e-9)
    near = abs(ours.mean - printed.mean) <= rounding
    if math.isnan(half):
        return Finding(source, printed, math.nan, math.nan, basis, "inside" if near else "no interval")
    low, high = printed.mean - half - rounding, printed.mean + half + rounding
    return Finding(source, printed, low, high, basis, "inside" if low <= ours.mean <= high else "outside")


def _allowed(ours: Ours, source: Source, printed: Printed) -> tuple[float, str]:
    """How far ours may be from the printed mean, and whose spread that is; nan when nobody's is known."""
    if source.exact:
        return 0.0, "exact"
    if not math.isnan(printed.std):
        return WIDTH * printed.std, "published ± 2·std"
    if WIDTH * ours.std > WIDEST:
        return math.nan, "one published run, and our seeds spread too widely to tell"
    if ours.std > 0:
        return WIDTH * ours.std, "one published run, ± 2·std of our seeds"
    return math.nan, "one published run, and our seeds do not differ"


def overall(findings: Iterable[Finding], ours: Ours) -> Verdict:
    """What all sources of a cell say together: inside of one checked source is enough."""
    if math.isnan(ours.mean):
        return "not measured"
    verdicts = {f.verdict for f in findings if f.source.checked}
    order: tuple[Verdict, ...] = ("inside", "outside", "no interval")
    return next((v for v in order if v in verdicts), "unchecked")
