"""Which domains ask for the same change: their similarity, in the order of the experts that were planned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from reports.discovery.figures.chart import row_name
from reports.discovery.reading import Discovery, at, finite, rows, texts
from reports.figures import svg
from reports.format import value_text
from reports.names import INK

LEFT, TOP = 150.0, 112.0
NUMBERED = 16
"""Domains up to which cells carry their numbers."""
COOL, WARM = (0, 114, 178), (213, 94, 0)


def similarity(found: Discovery) -> Markup:
    """A cell for each pair of domains; frames hold those of one expert."""
    plan = found.step("plan")
    names = texts(plan, "domains")
    table = _table(at(plan, "similarity"), len(names))
    if not names or not table:
        return Markup("")
    clusters = _clusters(found, names)
    order = [i for cluster in clusters for i in cluster]
    cell = min(46.0, 560.0 / len(order))
    parts = [_row(names, table, order, k, cell) for k in range(len(order))]
    parts += _frames([len(cluster) for cluster in clusters], cell)
    side = cell * len(order)
    label = "Similarity of domains, ordered by the experts that were planned for them."
    return svg.figure(LEFT + side + 60, TOP + side + 8, label, parts)


def _table(given: object, size: int) -> list[list[float]]:
    """[D, D] numbers; nothing where the shape is another."""
    if not isinstance(given, Sequence) or len(given) != size or isinstance(given, str):
        return []
    lines = [[finite(v) for v in line] if isinstance(line, list) else [] for line in given]
    return lines if all(len(line) == size for line in lines) else []


def _clusters(found: Discovery, names: Sequence[str]) -> list[list[int]]:
    """Places of the domains of each planned expert, then of each of the others."""
    place = {name: i for i, name in enumerate(names)}
    planned = [[place[d] for d in texts(row, "domains") if d in place] for row in rows(found.step("plan"), "experts")]
    seen: set[int] = set()
    clusters = []
    for cluster in [*planned, *([i] for i in range(len(names)))]:
        fresh = [i for i in dict.fromkeys(cluster) if i not in seen]
        seen.update(fresh)
        clusters += [fresh] if fresh else []
    return clusters


def _row(names: Sequence[str], table: list[list[float]], order: Sequence[int], k: int, cell: float) -> Markup:
    y, mine = TOP + cell * k, order[k]
    turn = f"translate({svg.number(LEFT + cell * (k + 0.5) - 1)} {svg.number(TOP - 8)}) rotate(-45)"
    head = svg.element("text", svg.shortened(names[mine], 18), transform=turn, class_="row")
    parts = [row_name(names[mine], LEFT - 8, y + cell / 2 + 4, 20), svg.group([head], names[mine])]
    for j, other in enumerate(order):
        parts.append(_cell(table[mine][other], LEFT + cell * j, y, cell, f"{names[mine]}, {names[other]}", len(order)))
    return svg.join(parts)


def _cell(value: float, x: float, y: float, cell: float, who: str, size: int) -> Markup:
    parts = [svg.rect(x, y, cell - 1, cell - 1, fill=shade(value))]
    if size <= NUMBERED and not math.isnan(value):
        shown = value_text(value, 2).replace("0.", ".", 1)
        parts.append(svg.text(x + cell / 2 - 0.5, y + cell / 2 + 3.5, shown, ink_on(shade(value)), "middle"))
    return svg.group(parts, f"{who}: {value_text(value)}")


def shade(value: float, strongest: float = 1.0) -> str:
    """From vermillion (−) over white (0) to blue (+); grey for nan."""
    if math.isnan(value):
        return "#e6e6e6"
    share = min(abs(value) / strongest, 1.0)
    red, green, blue = (round(255 + (end - 255) * share) for end in (COOL if value >= 0 else WARM))
    return f"#{red:02x}{green:02x}{blue:02x}"


def ink_on(paper: str) -> str:
    """Classes of a cell's number that is read on a colour: white where that is dark (relative luminance of sRGB)."""
    channels = [int(paper[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "cell on-dark" if luminance < 0.18 else "cell"


def _frames(sizes: Sequence[int], cell: float) -> list[Markup]:
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + size)
    return [
        svg.rect(LEFT + cell * a - 1, TOP + cell * a - 1, cell * (b - a) + 1, cell * (b - a) + 1, fill="none",
                 stroke=INK, stroke_width="2")
        for a, b in pairwise(ends)
    ]  # fmt: skip
