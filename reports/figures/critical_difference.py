"""The critical-difference diagram (Demšar, JMLR 7, 2006), turned by 90 degrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.figures import svg
from reports.figures.figure import Figure
from reports.figures.marks import marker
from reports.names import metric_name
from reports.stats.rank_tests import RankTests
from reports.stats.ranking import Ranked, Ranking

SHOWN = 20
"""Methods in the diagram, from the best; landmarks are shown wherever they stand."""


@dataclass(frozen=True)
class _Row:
    """One line of the diagram."""

    ranked: Ranked
    mean: float
    place: int  # in the order of the diagram, 0-based


def diagram(ranking: Ranking, tests: RankTests) -> Markup:
    """Mean ranks from top to bottom, with intervals; bars at the right join what is not separable.

    The diagram of Demšar turned by 90 degrees, so that names stand in lines and fit a phone. Bars are those of the
    signed-rank tests where these have power, else those of the bootstrap.

    Parameters
    ----------
    ranking : Ranking
    tests : RankTests
        Of the same metric, columns as ``ranking.rows``.
    """
    by_tests = tests.powerful
    order = tests.order if by_tests else tuple(range(len(ranking.rows)))
    groups = tests.groups if by_tests else ranking.groups
    lines = [
        _Row(ranking.rows[k], tests.means[i] if by_tests else ranking.rows[k].mean, i) for i, k in enumerate(order)
    ]
    shown = [line for line in lines if line.place < SHOWN or line.ranked.method.row.landmark]
    bars = [bar for bar in groups if bar[1] > bar[0] and _on_bar(shown, bar)]
    name, left, right, top, step = 172.0, 182.0, 330.0, 8.0, 21.0
    lanes = min(9.0, 90.0 / max(len(bars), 1))
    width = right + 14 + lanes * len(bars) + 4
    bottom = top + step * len(shown) + 4
    axis = svg.Axis(1.0, max(float(len(lines)), 2.0), left, right)
    parts = [svg.horizontal_axis(axis, bottom, top, "mean rank (1 is best)")]
    height = {line.place: top + step * (i + 0.5) for i, line in enumerate(shown)}
    for i, line in enumerate(shown):
        if i and line.place > shown[i - 1].place + 1:
            y = top + step * i
            parts.append(svg.line(10, y, right, y, "zero"))
        parts.append(_line(line, axis, height[line.place], name, interval=not by_tests))
    parts += [_bar(right + 14 + lanes * i, [height[place] for place in _on_bar(shown, b)]) for i, b in enumerate(bars)]
    return svg.figure(width, bottom + 36, _label(ranking, lines, groups, len(lines) - len(shown)), parts)


def _bar(x: float, heights: Sequence[float]) -> Markup:
    """Thick line from the first to the last of the lines that it joins."""
    path = f"M{svg.number(x)} {svg.number(heights[0] - 6)}V{svg.number(heights[-1] + 6)}"
    return svg.element("path", d=path, stroke="#1a1a1a", stroke_width="3", stroke_linecap="round")


def _on_bar(shown: Sequence[_Row], bar: tuple[int, int]) -> list[int]:
    """Places of shown lines on a bar; without two of them there is nothing to join."""
    own = [line.place for line in shown if bar[0] <= line.place <= bar[1]]
    return own if len(own) > 1 else []


def _line(row: _Row, axis: svg.Axis, y: float, end: float, *, interval: bool) -> Markup:
    ranked = row.ranked
    name = svg.shortened(ranked.method.label, 24)
    parts = [svg.text(end, y + 4, f"{ranked.method.number} {name}", "row", "end")]
    if interval:
        colour = ranked.method.colour
        parts.append(svg.whisker(axis, ranked.low, ranked.high, y, colour, "1.6", opacity="0.6"))
    parts.append(marker(ranked.method, axis(row.mean), y, 5))
    return svg.group(parts, f"{ranked.method.label}: mean rank {row.mean:.1f}, places {ranked.place}")


def _label(ranking: Ranking, lines: Sequence[_Row], groups: Sequence[tuple[int, int]], folded: int) -> str:
    """The picture in words: the first ones, and who ties with the first."""
    head = ", ".join(f"{row.ranked.method.label} {row.mean:.1f}" for row in lines[:5])
    first = groups[0][1] - groups[0][0] if groups else 0
    tie = (
        f"{first} method{'s are' if first > 1 else ' is'} not separable from the first"
        if first
        else "the first is separable from all others"
    )
    more = f"; {folded} methods are in the table only" if folded else ""
    return f"Mean ranks in {metric_name(ranking.metric)}, best first: {head}. In its group, {tie}{more}."


FIGURE = Figure("Mean ranks", "ranking", diagram, placed=True)
