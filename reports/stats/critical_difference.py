"""Friedman test, Holm-corrected Wilcoxon signed-rank tests and the critical-difference diagram.

Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7 (2006): the Friedman test asks whether
any method differs; the diagram draws mean ranks and joins those that are not separable. As Benavoli, Corani & Mangili,
"Should We Really Use Post-Hoc Tests Based on Mean-Ranks?", JMLR 17 (2016), recommend, pairs are tested by the Wilcoxon
signed-rank test, whose answer on two methods does not depend on the others. Tests need independent blocks, and splits
of one task share rows, so every task gives one value per method, its mean over splits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from markupsafe import Markup
from scipy import special

from reports.figures import svg
from reports.figures.marks import marker
from reports.names import larger_is_better, metric_name
from reports.stats.ranking import Bools, Ranked, Ranking, cliques, ranks
from reports.stats.statistics import LEVEL, ROUNDING, Floats, holm

FEWEST_TASKS = 6
"""With fewer tasks no signed-rank test can reach p < 0.05: 2 / 2⁵ = 0.0625."""

SHOWN = 20
"""Methods in the diagram, from the best; those of ``NAMED`` are shown wherever they stand."""

NAMED = frozenset({"mixture", "constant", "logistic_regression", "gradient_boosting", "utility", "result"})


@dataclass(frozen=True)
class RankTests:
    """Rank tests over tasks, one value per task.

    Attributes
    ----------
    tasks, methods : int
    statistic, p : float
        Friedman's χ² with its correction for ties, and its p-value; nan with fewer than two tasks or three methods.
    smallest : float
        The smallest p-value after Holm that a pair could reach if all tasks agreed.
    order : tuple of int
        Columns of the values, best mean rank over tasks first.
    means : tuple of float
        Their mean ranks, in that order.
    tied : [M, M] bool
        Pairs that the corrected signed-rank tests cannot separate, in that order.
    groups : tuple of (int, int)
        Longest runs that tie, in that order: see :func:`reports.stats.ranking.cliques`.
    """

    tasks: int
    methods: int
    statistic: float
    p: float
    smallest: float
    order: tuple[int, ...]
    means: tuple[float, ...]
    tied: Bools
    groups: tuple[tuple[int, int], ...]

    @property
    def powerful(self) -> bool:
        """Whether the signed-rank tests could separate any pair at all."""
        return self.tasks >= FEWEST_TASKS and self.smallest < 1 - LEVEL


def friedman(place: Floats) -> tuple[float, float]:
    """Friedman's χ² and p-value of [T, M] ranks within tasks (ties share their mean rank).

    Conover, *Practical Nonparametric Statistics*, 3rd ed. (1999), §5.8: (M − 1) Σ_j (R_j − T(M + 1)/2)² / (Σ r² −
    T·M(M + 1)²/4), χ² with M − 1 degrees of freedom.
    """
    tasks, methods = place.shape
    spread = float((place**2).sum()) - tasks * methods * (methods + 1) ** 2 / 4
    if tasks < 2 or methods < 3:
        return math.nan, math.nan
    if spread <= ROUNDING:
        return 0.0, 1.0
    sums = place.sum(axis=0) - tasks * (methods + 1) / 2
    statistic = (methods - 1) * float((sums**2).sum()) / spread
    return statistic, float(special.chdtrc(methods - 1, statistic))


def wilcoxon(differences: Floats) -> float:
    """Two-sided p-value of the exact Wilcoxon signed-rank test, given the ranks (ties share their mean rank).

    Zeros are left out (Wilcoxon 1945); without any other value p is 1.
    """
    known = differences[np.abs(differences) > ROUNDING]
    n = len(known)
    if not n:
        return 1.0
    size = np.abs(known)
    # twice the mean rank is whole, also with ties
    doubled = np.array([2 * (size < s - ROUNDING).sum() + (np.abs(size - s) <= ROUNDING).sum() + 1 for s in size])
    low = int(min(doubled[known > 0].sum(), doubled[known < 0].sum()))
    return min(1.0, 2 * float(_null(tuple(sorted(doubled.tolist())))[low]))


@lru_cache(maxsize=4096)
def _null(doubled: tuple[int, ...]) -> Floats:
    """Cumulative distribution of the sum of ``doubled`` over random signs, index by index."""
    chance = np.zeros(sum(doubled) + 1)
    chance[0] = 1.0
    for step in doubled:
        moved = np.zeros_like(chance)
        moved[step:] = chance[: len(chance) - step]
        chance = (chance + moved) / 2
    result: Floats = chance.cumsum()
    return result


def rank_tests(metric: str, values: Floats) -> RankTests:
    """All tests of one metric.

    Parameters
    ----------
    metric : str
    values : [T, M] float
        One value per task and method, without nan.
    """
    tasks, methods = values.shape
    place = ranks(values, larger_is_better(metric))
    order = np.argsort(place.mean(axis=0), kind="stable")
    a, b = np.triu_indices(methods, 1)
    smallest = min(1.0, 2.0 ** (1 - tasks) * max(len(a), 1))
    tied = np.ones((methods, methods), dtype=bool)
    if tasks >= FEWEST_TASKS and smallest < 1 - LEVEL:
        ordered = values[:, order]
        tested = holm([wilcoxon(ordered[:, i] - ordered[:, j]) for i, j in zip(a, b, strict=True)])
        tied[a, b] = tied[b, a] = np.array(tested, dtype=np.float64) >= 1 - LEVEL
    means = tuple(place.mean(axis=0)[order].tolist())
    return RankTests(
        tasks, methods, *friedman(place), smallest, tuple(order.tolist()), means, tied, tuple(cliques(tied))
    )


def sentence(tests: RankTests) -> str:
    """What the Friedman test says, in words."""
    unit = f"{tests.tasks} task{'s' if tests.tasks != 1 else ''}"
    if math.isnan(tests.p):
        return f"A Friedman test is not possible with {unit} and {tests.methods} methods."
    return f"Friedman test over {unit}: χ² = {tests.statistic:.1f}, p {_p_text(tests.p)}."


def bars_sentence(tests: RankTests) -> str:
    """Where the bars of the diagram come from, and why."""
    if tests.powerful:
        return (
            "Tests over tasks use one value per task, its mean over splits. Bars join methods that Wilcoxon "
            "signed-rank tests, Holm-corrected over all pairs, cannot separate."
        )
    if tests.tasks < FEWEST_TASKS:
        why = f"with fewer than {FEWEST_TASKS} tasks no pair can reach p < 0.05"
    else:
        why = (
            f"of {tests.methods} methods on {tests.tasks} tasks: if all tasks agreed on a pair, p after Holm would "
            f"still be {tests.smallest:.2f}"
        )
    return (
        "Tests over tasks use one value per task, its mean over splits. Wilcoxon signed-rank tests have no power here "
        f"({why}), so the bars join methods that the bootstrap over scenarios cannot separate."
    )


def _p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


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
    shown = [line for line in lines if line.place < SHOWN or line.ranked.method.id in NAMED]
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
    for i, bar in enumerate(bars):
        own = _on_bar(shown, bar)
        x = right + 14 + lanes * i
        parts.append(
            svg.element(
                "path",
                d=f"M{svg.number(x)} {svg.number(height[own[0]] - 6)}V{svg.number(height[own[-1]] + 6)}",
                stroke="#1a1a1a",
                stroke_width="3",
                stroke_linecap="round",
            )
        )
    return svg.figure(width, bottom + 36, _label(ranking, lines, groups, len(lines) - len(shown)), parts)


def _on_bar(shown: Sequence[_Row], bar: tuple[int, int]) -> list[int]:
    """Places of shown lines on a bar; without two of them there is nothing to join."""
    own = [line.place for line in shown if bar[0] <= line.place <= bar[1]]
    return own if len(own) > 1 else []


def _line(row: _Row, axis: svg.Axis, y: float, end: float, *, interval: bool) -> Markup:
    ranked = row.ranked
    low, high = ranked.low, ranked.high
    name = svg.shortened(ranked.method.name.label, 24)
    parts = [svg.text(end, y + 4, f"{ranked.method.number} {name}", "row", "end")]
    if interval and not math.isnan(low):
        parts.append(
            svg.element(
                "path",
                d=f"M{svg.number(axis(low))} {svg.number(y)}H{svg.number(axis(high))}",
                stroke=ranked.method.name.colour,
                stroke_width="1.6",
                opacity="0.6",
            )
        )
    parts.append(marker(ranked.method, axis(row.mean), y, 5))
    return svg.group(parts, f"{ranked.method.name.label}: mean rank {row.mean:.1f}, places {ranked.place}")


def _label(ranking: Ranking, lines: Sequence[_Row], groups: Sequence[tuple[int, int]], folded: int) -> str:
    """The picture in words: the first ones, and who ties with the first."""
    head = ", ".join(f"{row.ranked.method.name.label} {row.mean:.1f}" for row in lines[:5])
    first = groups[0][1] - groups[0][0] if groups else 0
    tie = (
        f"{first} method{'s are' if first > 1 else ' is'} not separable from the first"
        if first
        else "the first is separable from all others"
    )
    more = f"; {folded} methods are in the table only" if folded else ""
    return f"Mean ranks in {metric_name(ranking.metric)}, best first: {head}. In its group, {tie}{more}."
