"""Budget curves: what a tuned method would have reached with fewer trials.

Of its K trained configurations, k are drawn without replacement; the one with the best validation utility is kept, and
its test utility is told. The expectation over all draws is exact: the i-th worst of K configurations is the best of k
with probability C(i − 1, k − 1) / C(K, k) (the idea: Dodge et al., "Show Your Work: Improved Reporting of Experimental
Results", EMNLP 2019; here drawn without replacement, and told by the value on test rows).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from reports.figures import svg
from reports.figures.marks import marker
from reports.render.format import value_text
from reports.stats.estimate import Floats
from reports.stats.levels import Where
from reports.stats.statistics import Interval, corrected_interval
from reports.stats.winners import Method


@dataclass(frozen=True)
class Curve:
    """Expected test utility of the best of k trials, of one method on one task.

    ``values`` [J, K]: by split and k = 1 … K; nan beyond the trials of a split.
    """

    method: Method
    values: Floats

    @property
    def mean(self) -> Floats:
        """[K] mean over the splits that have so many trials."""
        known = ~np.isnan(self.values)
        total = np.where(known, self.values, 0.0).sum(0)
        mean: Floats = np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan)
        return mean

    @property
    def trials(self) -> int:
        """Trials of the split that has most."""
        return int(self.values.shape[1])

    def at(self, k: int) -> Interval:
        """Mean and corrected interval over splits with k trials (all, if there are fewer)."""
        return corrected_interval(self.values[:, min(k, self.trials) - 1])


@dataclass(frozen=True)
class Budget:
    """Task → curves, in the order of the suite."""

    curves: dict[str, tuple[Curve, ...]]

    @property
    def most(self) -> int:
        """Most trials that any method has."""
        return max(curve.trials for own in self.curves.values() for curve in own)

    @property
    def shown(self) -> list[int]:
        """Numbers of trials in the table: 1, 2, 5, 10, 20, 50, …, and all."""
        steps = [factor * 10**power for power in range(4) for factor in (1, 2, 5)]
        return [*(k for k in steps if k < self.most), self.most]


def best_of(validation: Floats, test: Floats, usable: NDArray[np.bool_]) -> Floats:
    """[K] expected test value of the best of k = 1 … K configurations by validation, drawn without replacement.

    Parameters
    ----------
    validation, test : [K] float
    usable : [K] bool
        False: failed, or nearly constant. Such a configuration is never kept; a draw of nothing else does not count.

    Returns
    -------
    [K] float; nan everywhere if nothing is usable. Of equal validation values the earlier configuration is kept.
    """
    total = len(validation)
    score = np.where(usable, validation, -np.inf)
    order = sorted(range(total), key=lambda i: (score[i], -i))  # worst first; of equals the earlier is the better
    n_bad = int(total - np.count_nonzero(usable))
    if n_bad == total:
        return np.full(total, np.nan)
    ranked = test[order]
    expected = np.empty(total)
    for k in range(1, total + 1):
        weight = np.array([math.comb(i, k - 1) if i >= n_bad else 0 for i in range(total)], dtype=object)
        share = np.array([w / (math.comb(total, k) - math.comb(n_bad, k)) for w in weight], dtype=np.float64)
        expected[k - 1] = float(share[n_bad:] @ ranked[n_bad:])
    return expected


def budget(table: pd.DataFrame, methods: Sequence[Method], scenarios: Sequence[Where]) -> Budget | None:
    """Budget curves of every tuned method; None when the table has no rows.

    Parameters
    ----------
    table : DataFrame
        The table "trials": see ``reports.table.FURTHER``.
    methods : sequence of Method
    scenarios : sequence
        Tasks of the report.
    """
    curves: dict[str, tuple[Curve, ...]] = {}
    for where in scenarios:
        here = table[
            (table["task"] == where.task)
            & (table["protocol"] == where.protocol)
            & (table["use_sensitive"] == where.use_sensitive)
        ]
        own = tuple(_curve(m, rows) for m in methods if len(rows := here[here["method"] == m.id]))
        own = tuple(curve for curve in own if not np.isnan(curve.values).all())
        if own:
            curves[where.name] = own
    return Budget(curves) if curves else None


def _curve(method: Method, rows: pd.DataFrame) -> Curve:
    parts = [own.sort_values("trial") for _, own in rows.groupby("split")]
    values = np.full((len(parts), max(map(len, parts))), np.nan)
    for line, own in zip(values, parts, strict=True):
        validation, test = (own[name].to_numpy(dtype=np.float64) for name in ("utility_validation", "utility_test"))
        usable = (own["state"] == "ok").to_numpy() & ~np.isnan(validation) & ~np.isnan(test)
        line[: len(own)] = best_of(validation, test, usable)
    return Curve(method, values)


WIDTH, LABEL = 360.0, 12.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 322.0, 8.0, 200.0


def curve_figure(task: str, curves: Sequence[Curve]) -> Markup:
    """Expected test utility against the number of trials (logarithmic), a line per method."""
    means = {curve.method: curve.mean for curve in curves}
    most = max(len(mean) for mean in means.values())
    known = np.concatenate([mean[~np.isnan(mean)] for mean in means.values()])
    pad = max(0.06 * float(np.ptp(known)), 0.004)
    bottom = max(BOTTOM, TOP + LABEL * len(means))  # room for a label per line
    y = svg.Axis(float(known.min()) - pad, float(known.max()) + pad, bottom, TOP)
    x = svg.Axis(0.0, max(math.log(most), 1e-9), LEFT, RIGHT)
    ticks = y.ticks(4)
    parts = [svg.line(LEFT, y(t), RIGHT, y(t), "grid") for t in ticks]
    parts += [svg.text(LEFT - 5, y(t) + 4, svg.tick_label(t, ticks), "tick", "end") for t in ticks]
    steps = [k for k in (1, 2, 5, 10, 20, 50, 100, 200) if k <= most]
    parts += [svg.text(x(math.log(k)), bottom + 15, str(k), "tick", "middle") for k in steps]
    parts.append(svg.text((LEFT + RIGHT) / 2, bottom + 32, "trials", "axis", "middle"))
    ends = _apart([y(float(mean[~np.isnan(mean)][-1])) for mean in means.values()], bottom + 12)
    for (method, mean), place in zip(means.items(), ends, strict=True):
        parts.append(_line(method, mean, x, y, place))
    words = ", ".join(f"{m.name.label} {value_text(float(mean[~np.isnan(mean)][-1]))}" for m, mean in means.items())
    label = f"Expected test utility of the best of k trials on {task}; with all trials: {words}. A table follows."
    return svg.figure(WIDTH, bottom + 40, label, parts)


def _line(method: Method, mean: Floats, x: svg.Axis, y: svg.Axis, place: float) -> Markup:
    points = [(x(math.log(k + 1)), y(float(v))) for k, v in enumerate(mean) if not math.isnan(v)]
    path = "M" + "L".join(f"{svg.number(a)} {svg.number(b)}" for a, b in points)
    end = points[-1]
    parts = [
        svg.element("path", d=path, fill="none", stroke=method.name.colour, stroke_width="1.6"),
        marker(method, *end, 4),
        svg.text(RIGHT + 12, place + 4, str(method.number), "number"),
    ]
    if abs(place - end[1]) > 3 or end[0] < RIGHT - 1:
        parts.append(svg.line(end[0] + 5, end[1], RIGHT + 10, place, "leader"))
    return svg.group(parts, f"{method.number} {method.name.label}")


def _apart(places: Sequence[float], floor: float) -> list[float]:
    """The places, moved down as far as needed to stand ``LABEL`` apart, and back up from ``floor``."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + LABEL)
    for i in reversed(order):
        moved[i] = min(moved[i], floor)
        floor = moved[i] - LABEL
    return moved
