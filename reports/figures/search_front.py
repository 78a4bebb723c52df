"""The front of a mixture search: what is true, joined with what the surrogate had said."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from reports.figures import svg
from reports.figures.figure import Figure
from reports.format import value_text
from reports.names import BLUE, DISPARITY, GREY, UTILITY, VERMILLION, metric_name
from reports.stats.pareto import front
from reports.text.fronts import Member, MixtureFront


def search_front(found: MixtureFront, task: str) -> Markup:
    """Utility against the result gap on the search rows: what is true, joined with what the surrogate had said."""
    members = found.drawable
    if not members:
        return Markup("")
    box = (58.0, 14.0, 446.0, 300.0)  # left, top, right, bottom
    x_axis = svg.Axis(*_range([m.true[DISPARITY] for m in members], floor=True), box[0], box[2])
    y_axis = svg.Axis(*_range([m.true[UTILITY] for m in members]), box[3], box[1])
    ticks = y_axis.ticks(5)
    parts = [svg.horizontal_axis(x_axis, box[3], box[1], f"{metric_name(DISPARITY)}  (◀ fairer)", about=5)]
    parts += [svg.line(box[0], y_axis(t), box[2], y_axis(t), "grid") for t in ticks]
    parts += [svg.text(box[0] - 5, y_axis(t) + 4, svg.tick_label(t, ticks), "tick", "end") for t in ticks]
    turn = f"translate(11 {svg.number(y_axis.middle)}) rotate(-90)"
    parts.append(svg.element("text", "utility  (better ▶)", transform=turn, class_="axis", text_anchor="middle"))
    parts.append(svg.rect(box[0], box[1], box[2] - box[0], box[3] - box[1], class_="frame"))
    parts.append(_undominated(members, x_axis, y_axis))
    parts += [_member(m, x_axis, y_axis) for m in reversed(members)]
    label = f"Mixtures found for {task}: utility against result gap on search rows, true and as the surrogate had it."
    return svg.figure(460, 338, label, parts)


def _undominated(members: Sequence[Member], x_axis: svg.Axis, y_axis: svg.Axis) -> Markup:
    """Line through the members that nothing beats on these two axes; a search may have had others too."""
    values = [np.array([m.at(metric) for m in members]) for metric in (UTILITY, DISPARITY)]
    best = [m for m, member in zip(members, front(*values), strict=True) if member]
    if len(best) < 2:
        return Markup("")
    best.sort(key=lambda m: (m.at(DISPARITY), m.at(UTILITY)))
    corners = "L".join(_at(x_axis(m.at(DISPARITY)), y_axis(m.at(UTILITY))) for m in best)
    return svg.element("path", d=f"M{corners}", class_="front")


def _at(x: float, y: float) -> str:
    return f"{svg.number(x)} {svg.number(y)}"


def _range(values: list[float], *, floor: bool = False) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = max(0.08 * (high - low), 0.004)
    return (max(low - pad, -0.03 * high) if floor and high > 0 else low - pad), high + pad


def _member(member: Member, x_axis: svg.Axis, y_axis: svg.Axis) -> Markup:
    x, y = x_axis(member.at(DISPARITY)), y_axis(member.at(UTILITY))
    parts = []
    guess = [member.surrogate.get(metric, math.nan) for metric in (DISPARITY, UTILITY)]
    if not math.isnan(sum(guess)):
        parts.append(svg.line(x, y, x_axis(guess[0]), y_axis(guess[1]), "leader"))
        parts.append(svg.mark("circle", x_axis(guess[0]), y_axis(guess[1]), 3.2, GREY, hollow=True))
    parts.append(_sign(member.word, x, y))
    values = f"utility {value_text(member.at(UTILITY))}, result gap {value_text(member.at(DISPARITY))}"
    return svg.group(parts, f"{member.word or 'mixture'} {member.number}: {values}")


def _sign(word: str, x: float, y: float) -> Markup:
    if word == "winner":
        return svg.element("circle", cx=x, cy=y, r=9, class_="ring") + svg.mark("diamond", x, y, 5, BLUE)
    if word == "rejected":
        return svg.element("path", d=_cross(x, y), stroke=VERMILLION, stroke_width="2.2")
    return svg.mark("circle", x, y, 3.8, BLUE) if word else svg.mark("circle", x, y, 2.2, GREY)


def _cross(x: float, y: float, size: float = 4.5) -> str:
    return f"M{_at(x - size, y - size)}L{_at(x + size, y + size)}M{_at(x - size, y + size)}L{_at(x + size, y - size)}"


FIGURE = Figure("Mixture search", "task", search_front, placed=True)
