"""Utility at a fairness level: who wins when the result gap may be at most so much, and how sure that is.

A *contender* is a method in one of two variants: "plain" (the best of its own trained configurations that keeps the
level on validation rows) or "thresholds" (its chosen model with group thresholds). Values are those of test rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from reports.stats.comparison import Pooled, cap_of, uncapped, verdict
from reports.stats.estimate import Floats
from reports.stats.statistics import (
    LEVEL,
    ROUNDING,
    TEST_TRAIN_RATIO,
    Interval,
    corrected_interval,
    holm,
)
from reports.stats.winners import DISPARITY, UTILITY, Method

LEVELS = ("0.01", "0.02", "0.05", "0.10", "half", "quarter")
FIXED = LEVELS[:4]
"""Levels that are numbers: those of figures and of the overview."""

PLAIN, THRESHOLDS = "plain", "thresholds"
VARIANTS = (PLAIN, THRESHOLDS)
WORDS = {"half": "≤ ½ unmitigated", "quarter": "≤ ¼ unmitigated"}

MIXTURES = (
    ("mixture", PLAIN), ("mixture", THRESHOLDS), ("graph_gate_dense", PLAIN), ("graph_gate_dense", THRESHOLDS),
    ("cross_gate_dense", PLAIN),
)  # fmt: skip
"""Contenders whose standing is told."""

RIVALS = (
    ("lightgbm", THRESHOLDS), ("gradient_boosting", THRESHOLDS), ("utility", THRESHOLDS),
    ("exponentiated_gradient", PLAIN), ("exponentiated_gradient_trees", PLAIN), ("fairgnn", PLAIN), ("nifty", PLAIN),
    ("edits", PLAIN), ("fairvgnn", PLAIN),
)  # fmt: skip
"""What a mixture has to beat at a level: thresholded models, reductions, fair graph networks."""

REFERENCES = ("lightgbm", "gradient_boosting", "logistic_regression", "utility")
"""The first of these that is there, with thresholds, is what pooled utilities are measured from."""

Id = tuple[str, str]
"""(method, variant)."""


class Where(Protocol):
    """The part of a scenario that its rows are found by."""

    @property
    def name(self) -> str:
        """What it is called on the page."""
        ...

    @property
    def task(self) -> str:
        """Task in the table."""
        ...

    @property
    def protocol(self) -> str:
        """Protocol in the table."""
        ...

    @property
    def use_sensitive(self) -> str:
        """Use of the sensitive columns in the table."""
        ...

    @property
    def splits(self) -> tuple[int, ...]:
        """Splits in the table."""
        ...


@dataclass(frozen=True)
class Contender:
    """A method in one variant."""

    method: Method
    variant: str

    @property
    def id(self) -> Id:
        """(method, variant)."""
        return self.method.id, self.variant

    @property
    def label(self) -> str:
        """Name with its variant."""
        return self.method.name.label + (" + thresholds" if self.variant == THRESHOLDS else "")


@dataclass(frozen=True)
class Reached:
    """What a contender reaches at one level of one task, by split; nan where a split has no row.

    Attributes
    ----------
    test, validation : [J] float
        ``utility@1``.
    gap : [J] float
        ``fair_res@1`` on test rows.
    limit : [J] float
        The allowed gap.
    imputed : [J] bool
        Nothing kept the level on validation rows: the constant predictor stands in.
    """

    test: Floats
    validation: Floats
    gap: Floats
    limit: Floats
    imputed: NDArray[np.bool_]

    @cached_property
    def interval(self) -> Interval:
        """Mean test utility with the corrected interval over splits."""
        return corrected_interval(self.test)

    @cached_property
    def gap_interval(self) -> Interval:
        """Mean test gap with the corrected interval over splits."""
        return corrected_interval(self.gap)

    @property
    def splits(self) -> int:
        """Splits with a row."""
        return int((~np.isnan(self.limit)).sum())

    @property
    def kept(self) -> int:
        """Splits that are not imputed and whose test gap keeps the level too."""
        return int((~self.imputed & (self.gap <= self.limit)).sum())

    @property
    def feasible(self) -> bool:
        """Whether it keeps the level on more than half of the splits without the constant predictor's help."""
        return 2 * int(self.imputed.sum()) < self.splits


@dataclass(frozen=True)
class Best:
    """Who wins at a level of a task: chosen on validation rows among those that reach it, told with test values.

    ``tied``: others that reach the level and whose test utility is not surely lower (paired corrected test over
    splits, Holm-corrected); ``eligible``: all that reach it.
    """

    level: str
    winner: Contender | None
    reached: Reached | None
    tied: tuple[Contender, ...]
    eligible: int


@dataclass(frozen=True)
class Place:
    """Where a contender stands at a level, over tasks.

    ``difference``: from the reference on the tasks that both have; ``ranks``: those that the data cannot rule out
    among all contenders; ``imputed`` of ``cells``: splits on which the constant predictor stands in.
    """

    difference: Interval
    ranks: tuple[int, int]
    imputed: int
    cells: int


@dataclass(frozen=True)
class Levels:
    """Everything that the table "levels" says.

    Attributes
    ----------
    contenders : tuple of Contender
        In the order of the suite, plain before thresholds.
    reached : dict
        Task → level → (method, variant) → Reached.
    best : dict
        Task → one :class:`Best` per level.
    reference : Contender or None
        What ``places`` are measured from.
    places : dict
        (level, (method, variant)) → Place.
    standing : dict
        (mixture, rival, level) → Pooled.
    gained : dict
        (method, level) → Pooled, thresholds − plain.
    """

    contenders: tuple[Contender, ...]
    reached: dict[str, dict[str, dict[Id, Reached]]]
    best: dict[str, tuple[Best, ...]]
    reference: Contender | None
    places: dict[tuple[str, Id], Place]
    standing: dict[tuple[Id, Id, str], Pooled]
    gained: dict[tuple[str, str], Pooled]

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels that any task has, in their order."""
        have = {level for found in self.reached.values() for level in found}
        return tuple(level for level in LEVELS if level in have)

    def contender(self, id: Id) -> Contender:
        """The contender of an id."""
        return next(c for c in self.contenders if c.id == id)

    @property
    def mixtures(self) -> tuple[Contender, ...]:
        """Mixtures whose standing is told."""
        have = {mixture for mixture, _, _ in self.standing}
        return tuple(self.contender(id) for id in MIXTURES if id in have)

    def rivals(self, mixture: Contender) -> tuple[Contender, ...]:
        """What a mixture is compared with."""
        have = {rival for own, rival, _ in self.standing if own == mixture.id}
        return tuple(self.contender(id) for id in RIVALS if id in have)

    def get(self, task: str, level: str, contender: Contender) -> Reached | None:
        """What a contender reaches at a level of a task; None where it has no row."""
        return self.reached.get(task, {}).get(level, {}).get(contender.id)

    def has(self, task: str, contender: Contender) -> bool:
        """Whether a contender has a row on a task."""
        return any(contender.id in own for own in self.reached.get(task, {}).values())

    def has_gain(self, method: str) -> bool:
        """Whether a method is there with and without thresholds."""
        return any((method, level) in self.gained for level in self.levels)


def level_words(level: str) -> str:
    """``≤ 0.05``, or which share of the unmitigated gap."""
    return WORDS.get(level, f"≤ {level}")


def levels(table: pd.DataFrame, methods: Sequence[Method], scenarios: Sequence[Where]) -> Levels | None:
    """What the table "levels" says; None when it has no rows.

    Parameters
    ----------
    table : DataFrame
        See ``reports.table.FURTHER``.
    methods : sequence of Method
    scenarios : sequence
        Tasks of the report.
    """
    reached = _reached(table, scenarios)
    if not reached:
        return None
    have = {id for by_level in reached.values() for found in by_level.values() for id in found}
    contenders = tuple(Contender(m, v) for m in methods for v in VARIANTS if (m.id, v) in have)
    reference = next((c for r in REFERENCES for c in contenders if c.id == (r, THRESHOLDS)), None)
    values = {level: _cube(reached, level, contenders) for level in LEVELS}
    return Levels(
        contenders=contenders,
        reached=reached,
        best={task: tuple(_best(level, found, contenders) for level, found in own.items())
              for task, own in reached.items()},
        reference=reference,
        places=_places(reached, values, contenders, reference),
        standing=_standing(values, contenders),
        gained=_gained(values, contenders),
    )  # fmt: skip


def _reached(table: pd.DataFrame, scenarios: Sequence[Where]) -> dict[str, dict[str, dict[Id, Reached]]]:
    wanted = table[table["metric"].isin([UTILITY, DISPARITY, "limit"])]
    found: dict[str, dict[str, dict[Id, Reached]]] = {}
    for where in scenarios:
        here = wanted[
            (wanted["task"] == where.task)
            & (wanted["protocol"] == where.protocol)
            & (wanted["use_sensitive"] == where.use_sensitive)
        ]
        own = _by_level(here, where.splits)
        if own:
            found[where.name] = own
    return found


_COLUMNS = {(UTILITY, "estimate"): 0, (UTILITY, "validation"): 1, (DISPARITY, "estimate"): 2, ("limit", "estimate"): 3}


def _by_level(rows: pd.DataFrame, splits: Sequence[int]) -> dict[str, dict[Id, Reached]]:
    """Level → contender → values, of the rows of one task; levels in their order."""
    place = {split: j for j, split in enumerate(splits)}
    values: dict[tuple[str, Id], Floats] = {}
    imputed: dict[tuple[str, Id], NDArray[np.bool_]] = {}
    names = ("level", "method", "variant", "metric", "split", "estimate", "validation", "status")
    for level, method, variant, metric, split, estimate, validation, status in zip(
        *(rows[name].tolist() for name in names), strict=True
    ):
        key = (level, (method, variant))
        if key not in values:
            values[key] = np.full((4, len(splits)), np.nan)
            imputed[key] = np.zeros(len(splits), dtype=bool)
        for column, value in (("estimate", estimate), ("validation", validation)):
            if (metric, column) in _COLUMNS:
                values[key][_COLUMNS[metric, column], place[split]] = value
        imputed[key][place[split]] = status == "imputed"
    found: dict[str, dict[Id, Reached]] = {level: {} for level in LEVELS}
    for (level, id), own in values.items():
        if level in found:
            found[level][id] = Reached(own[0], own[1], own[2], own[3], imputed[level, id])
    return {level: own for level, own in found.items() if own}


def _best(level: str, found: Mapping[Id, Reached], contenders: Sequence[Contender]) -> Best:
    """The winner at a level of a task; equal validation utility goes to plain before thresholds."""
    able = [c for c in contenders if c.id in found and found[c.id].feasible]
    able = [c for c in able if not np.isnan(found[c.id].validation).all()]
    if not able:
        return Best(level, None, None, (), 0)
    best = max(able, key=lambda c: float(np.nanmean(found[c.id].validation)))
    others = [c for c in able if c is not best]
    tests = [corrected_interval(found[best.id].test - found[c.id].test) for c in others]
    sure = holm([test.p for test in tests])
    tied = tuple(c for c, test, p in zip(others, tests, sure, strict=True) if not (p < 1 - LEVEL and test.mean > 0))
    return Best(level, best, found[best.id], tied, len(able))


# -- over tasks -------------------------------------------------------------------------------------------------------


def pooled_intervals(values: Floats, ratio: float = TEST_TRAIN_RATIO) -> dict[str, Floats]:
    """Means over tasks of means over splits, with the interval of ``hierarchical_bootstrap`` in closed form.

    The variance that :func:`reports.stats.statistics.hierarchical_bootstrap` draws is (s² + mean of the tasks'
    corrected split variances) / T, with the variance s² of the T task means; so all pairs of methods can be had at
    once.

    Parameters
    ----------
    values : [..., T, J] float
        One value per task and split; nan where there is none.
    ratio : float
        n_test / n_train.

    Returns
    -------
    dict
        "mean", "low", "high", "p" and "n" (tasks), each [...]; nan ends where there are fewer than two values.
    """
    known = ~np.isnan(values)
    count = known.sum(-1)
    has = count > 0
    own = np.where(known, values, 0.0).sum(-1) / np.maximum(count, 1)
    spread = np.where(known, (values - own[..., None]) ** 2, 0.0).sum(-1) / np.maximum(count - 1, 1)
    noise = np.where(count > 1, (1 / np.maximum(count, 1) + ratio) * spread, 0.0)
    n = has.sum(-1)
    tasks = np.maximum(n, 1)
    mean = np.where(n > 0, np.where(has, own, 0.0).sum(-1) / tasks, np.nan)
    between = np.where(has, (own - mean[..., None]) ** 2, 0.0).sum(-1) / np.maximum(n - 1, 1)
    variance = (np.where(n > 1, between, 0.0) + np.where(has, noise, 0.0).sum(-1) / tasks) / tasks
    freedom = np.where(n > 1, n - 1, count.sum(-1) - 1)
    error = np.where((n > 0) & (freedom > 0), np.sqrt(variance), np.nan)
    flat = error <= ROUNDING
    degrees = np.maximum(freedom, 1)
    t = np.abs(mean) / np.where(flat | np.isnan(error), 1.0, error)
    p = np.where(flat, np.where(np.abs(mean) <= ROUNDING, 1.0, 0.0), 2 * special.stdtr(degrees, -t))
    half = special.stdtrit(degrees, (1 + LEVEL) / 2) * error
    return {"mean": mean, "low": mean - half, "high": mean + half, "p": np.where(np.isnan(error), np.nan, p), "n": n}


def _interval(found: Mapping[str, Floats], place: tuple[int, ...]) -> Interval:
    mean, low, high, p = (float(found[key][place]) for key in ("mean", "low", "high", "p"))
    return Interval(mean, low, high, p, int(found["n"][place]))


def _cube(
    reached: Mapping[str, Mapping[str, Mapping[Id, Reached]]], level: str, contenders: Sequence[Contender]
) -> Floats:
    """[contenders, T, J] test utilities on the tasks that count: a task on fewer rows stands back for the full one."""
    tasks = [t for t in reached if cap_of(t) is None or uncapped(t) not in reached]
    width = max((len(r.test) for own in reached.values() for f in own.values() for r in f.values()), default=0)
    cube = np.full((len(contenders), len(tasks), width), np.nan)
    for column, task in enumerate(tasks):
        found = reached[task].get(level, {})
        for row, contender in enumerate(contenders):
            if contender.id in found:
                values = found[contender.id].test
                cube[row, column, : len(values)] = values
    return cube


def _places(
    reached: Mapping[str, Mapping[str, Mapping[Id, Reached]]],
    values: Mapping[str, Floats],
    contenders: Sequence[Contender],
    reference: Contender | None,
) -> dict[tuple[str, Id], Place]:
    places: dict[tuple[str, Id], Place] = {}
    base = None if reference is None else contenders.index(reference)
    for level, cube in values.items():
        pairs = pooled_intervals(cube[:, None] - cube[None])
        for row, contender in enumerate(contenders):
            cells = [found[level][contender.id] for found in reached.values() if contender.id in found.get(level, {})]
            if not cells:
                continue
            away = (
                Interval(math.nan, math.nan, math.nan, math.nan, 0) if base is None else _interval(pairs, (row, base))
            )
            imputed, splits = sum(int(r.imputed.sum()) for r in cells), sum(r.splits for r in cells)
            places[level, contender.id] = Place(away, _ranks(pairs, row), imputed, splits)
    return places


def _ranks(pairs: Mapping[str, Floats], row: int) -> tuple[int, int]:
    """Ranks that the data cannot rule out: as ``reports.stats.statistics.rank_interval``, over tasks."""
    others = [i for i in range(len(pairs["p"])) if i != row and pairs["n"][row, i] > 0]
    sure = [p < 1 - LEVEL for p in holm([float(pairs["p"][row, i]) for i in others])]
    means = [float(pairs["mean"][row, i]) for i in others]
    better = sum(s and mean < 0 for s, mean in zip(sure, means, strict=True))
    worse = sum(s and mean > 0 for s, mean in zip(sure, means, strict=True))
    return 1 + better, len(others) + 1 - worse


def _standing(values: Mapping[str, Floats], contenders: Sequence[Contender]) -> dict[tuple[Id, Id, str], Pooled]:
    ids = [c.id for c in contenders]
    found: dict[tuple[Id, Id, str], Pooled] = {}
    for level, cube in values.items():
        for mixture in (m for m in MIXTURES if m in ids):
            rivals = [r for r in RIVALS if r in ids]
            rows = [cube[ids.index(mixture)] - cube[ids.index(rival)] for rival in rivals]
            differences = _differences(rows)
            found |= {(mixture, r, level): d for r, d in zip(rivals, differences, strict=True) if d.tasks}
    return found


def _gained(values: Mapping[str, Floats], contenders: Sequence[Contender]) -> dict[tuple[str, str], Pooled]:
    ids = [c.id for c in contenders]
    methods = [m for m, variant in ids if variant == THRESHOLDS and (m, PLAIN) in ids]
    found: dict[tuple[str, str], Pooled] = {}
    for level, cube in values.items():
        rows = [cube[ids.index((m, THRESHOLDS))] - cube[ids.index((m, PLAIN))] for m in methods]
        found |= {(m, level): d for m, d in zip(methods, _differences(rows), strict=True) if d.tasks}
    return found


def _differences(rows: Sequence[Floats]) -> list[Pooled]:
    """Pooled differences of one question, Holm-corrected over them; single tasks are corrected in the same way."""
    if not rows:
        return []
    stacked = np.stack(rows)
    pooled = pooled_intervals(stacked)
    adjusted = holm([float(p) for p in pooled["p"]])
    verdicts = [_verdicts(stacked[:, task]) for task in range(stacked.shape[1])]
    return [
        Pooled(
            interval := _interval(pooled, (row,)),
            p,
            verdict(interval, p, up=True),
            better=sum(words[row] == "better" for words in verdicts),
            worse=sum(words[row] == "worse" for words in verdicts),
            tasks=interval.n,
        )
        for row, p in enumerate(adjusted)
    ]


def _verdicts(rows: Floats) -> list[str]:
    """Verdict of each row [J] of differences on one task."""
    intervals = [corrected_interval(row) for row in rows]
    adjusted = holm([interval.p for interval in intervals])
    return [verdict(interval, p, up=True) for interval, p in zip(intervals, adjusted, strict=True)]


# -- in words ---------------------------------------------------------------------------------------------------------

PHRASES = {
    "better": "surely better than",
    "worse": "surely worse than",
    "not separable": "not separable from",
    "identical": "identical to",
    "one split": "seen on one split only beside",
}


def standing_sentences(found: Levels, mixture: Contender) -> list[tuple[str, str]]:
    """(levels, sentence) on a mixture's standing: what is established and what is not; levels that agree are one line.

    Examples
    --------
    ``("≤ 0.05", "surely better than FairGNN; not separable from LightGBM + thresholds (6 tasks)")``
    """
    lines = []
    for level in found.levels:
        differences = {
            rival: found.standing[mixture.id, rival.id, level]
            for rival in found.rivals(mixture)
            if (mixture.id, rival.id, level) in found.standing
        }
        if differences:
            lines.append((level_words(level), _sentence(differences)))
    return _merged(lines)


def _sentence(differences: Mapping[Contender, Pooled]) -> str:
    tasks = {d.tasks for d in differences.values()}
    parts = [
        f"{words} " + ", ".join(_with_tasks(r, d, len(tasks) > 1) for r, d in differences.items() if d.verdict == word)
        for word, words in PHRASES.items()
        if any(d.verdict == word for d in differences.values())
    ]
    end = f" ({_tasks(tasks.pop())})" if len(tasks) == 1 else ""
    return "; ".join(parts) + end


def _with_tasks(rival: Contender, difference: Pooled, differ: bool) -> str:
    return f"{rival.label} ({_tasks(difference.tasks)})" if differ else rival.label


def _tasks(n: int) -> str:
    return f"{n} task{'s' if n > 1 else ''}"


def _merged(lines: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Lines with the same words become one, under all their levels."""
    words = dict.fromkeys(text for _, text in lines)
    return [(", ".join(level for level, own in lines if own == text), text) for text in words]


def gained_sentences(found: Levels) -> list[tuple[str, str]]:
    """(levels, how many methods thresholds improve there, surely)."""
    return _merged([(level_words(level), said) for level in found.levels if (said := gained_sentence(found, level))])


def gained_sentence(found: Levels, level: str) -> str:
    """How many methods thresholds improve at a level, surely; empty without a comparison."""
    own = [d for (_, at), d in found.gained.items() if at == level]
    if not own:
        return ""
    up, down = (sum(d.verdict == word for d in own) for word in ("better", "worse"))
    return (
        f"of {len(own)} methods, thresholds surely raise {up}, surely lower {down}, and {len(own) - up - down} are open"
    )
