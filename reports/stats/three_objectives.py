"""Utility, result gap and procedural gap at once: who is on the front, and how much of the space is covered.

The reference is frozen by the run itself, as for two objectives (:mod:`reports.stats.hypervolume`): the constant
predictor's test utility, and the test gaps of the utility expert, which cares for neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.method import Method
from reports.names import DISPARITY, UTILITY
from reports.stats.hypervolume import SMALLEST_GAP, hypervolume, reference_values
from reports.stats.pooled_intervals import pooled_interval
from reports.stats.scores import TaskScores
from reports.stats.sources import numbered
from reports.stats.statistics import Floats, Interval

REASONS = "fair_proc@1"
AXES = (UTILITY, DISPARITY, REASONS)
VERSION = "hv3@1"


def hypervolume3(points: Floats, reference: tuple[float, float, float]) -> float:
    """Share of the box between ``reference`` and the perfect point (1, 0, 0) that ``points`` dominate: ``hv3@1``.

    Exact, by slices of the procedural gap: within a slice the points that reach it are those of a problem with two
    objectives (Zitzler & Thiele 1999; Fonseca, Paquete & López-Ibáñez 2006).

    Parameters
    ----------
    points : [K, 3] float
        (utility, result gap, procedural gap); rows with nan are left out.
    reference : (float, float, float)
        Utility of the constant predictor, both gaps of the utility expert.

    Returns
    -------
    float
        In [0, 1]; nan as :func:`reports.stats.hypervolume.hypervolume`, for the procedural gap too.
    """
    known = points[~np.isnan(points).any(axis=1)]
    if not len(known) or not reference[2] >= SMALLEST_GAP:
        return float("nan")
    height = np.clip(1 - known[:, 2] / reference[2], 0.0, 1.0)
    order = np.argsort(-height, kind="stable")
    steps = height[order] - np.append(height[order][1:], 0.0)
    areas = [hypervolume(known[order[: k + 1], :2], reference[:2]) for k in range(len(order))]
    return float(np.dot(steps, areas))


def undominated(points: Floats) -> NDArray[np.bool_]:
    """[K] whether no other of the [K, 3] points (utility, gap, gap) is at least as good in all and better in one."""
    signed = points * np.array([-1.0, 1.0, 1.0])
    no_worse = (signed[:, None] <= signed[None]).all(axis=2)
    better = (signed[:, None] < signed[None]).any(axis=2)
    found: NDArray[np.bool_] = ~(no_worse & better).any(axis=0) & ~np.isnan(points).any(axis=1)
    return found


@dataclass(frozen=True)
class Covered:
    """What one method, or the front of a set of methods, covers.

    Attributes
    ----------
    label : str
    methods : tuple of Method
    volume : Interval
        ``hv3@1`` over tasks; nan where no task has a reference.
    by_task : dict
        Task → mean over splits.
    fronts : int
        Tasks on whose front one of the methods stands.
    """

    label: str
    methods: tuple[Method, ...]
    volume: Interval
    by_task: dict[str, float]
    fronts: int


@dataclass(frozen=True)
class ThreeObjectives:
    """The front of each task, what every method covers alone, and what sets of methods cover together.

    ``on_front``: task → ids of methods, chosen by validation means; ``tasks``: those with a reference.
    """

    on_front: Mapping[str, frozenset[str]]
    tasks: tuple[str, ...]
    methods: tuple[Covered, ...]
    sets: tuple[Covered, ...]


def three_objectives(scenarios: Sequence[TaskScores], sets: Mapping[str, Sequence[Method]]) -> ThreeObjectives | None:
    """Fronts and volumes of a run.

    Parameters
    ----------
    scenarios : sequence of TaskScores
        Tasks that count.
    sets : mapping
        Label → methods that are looked at together: on each task their front by validation means is what counts, at its
        test values.

    Returns
    -------
    ThreeObjectives or None
        None where no task has a reference: no constant predictor, no utility expert, or gaps that are too small.
    """
    references = {s.name: reference_values(s, AXES[1:]) for s in scenarios}
    usable = [s for s in scenarios if s.name in references and not np.isnan(references[s.name]).all()]
    usable = [s for s in usable if not np.isnan(_volumes(s, list(s.methods), references[s.name])).all()]
    if not usable:
        return None
    on_front = {s.name: frozenset(m.id for m in _front(s, s.methods)) for s in scenarios}
    methods = {m.id: m for s in usable for m in s.methods}
    alone = [
        _covered(m.label, (m,), usable, references, on_front) for m in sorted(methods.values(), key=lambda m: m.number)
    ]
    together = [_covered(label, tuple(own), usable, references, on_front) for label, own in sets.items() if own]
    return ThreeObjectives(on_front, tuple(s.name for s in usable), tuple(alone), tuple(together))


def _covered(
    label: str,
    methods: tuple[Method, ...],
    scenarios: Sequence[TaskScores],
    references: Mapping[str, Floats],
    on_front: Mapping[str, frozenset[str]],
) -> Covered:
    rows = [
        _volumes(s, _front(s, methods) if len(methods) > 1 else list(methods), references[s.name]) for s in scenarios
    ]
    means = {s.name: float(np.nanmean(r)) for s, r in zip(scenarios, rows, strict=True) if not np.isnan(r).all()}
    interval = pooled_interval(rows, numbered([s.source for s in scenarios]))
    fronts = sum(bool(on_front[s.name] & {m.id for m in methods}) for s in scenarios)
    return Covered(label, methods, interval, means, fronts)


def _front(scores: TaskScores, methods: Sequence[Method]) -> list[Method]:
    """Methods that no other of them dominates on validation rows; constant ones take no place."""
    able = [m for m in methods if all((m.id, a) in scores.validation for a in AXES)]
    able = [m for m in able if not scores.validation[m.id, DISPARITY].mostly_degenerate]
    if not able:
        return []
    points = np.array([[scores.validation[m.id, a].mean for a in AXES] for m in able], dtype=np.float64)
    return [m for m, member in zip(able, undominated(points), strict=True) if member]


def _volumes(scores: TaskScores, methods: Sequence[Method], reference: Floats) -> Floats:
    """[J] volume of the methods' test points on each split; nan without one."""
    missing = np.full(len(scores.splits), np.nan)
    points = np.stack(
        [np.column_stack([scores.values.get((m.id, a), missing) for a in AXES]) for m in methods], axis=1
    ) if methods else np.full((len(scores.splits), 0, 3), np.nan)  # fmt: skip
    return np.array([hypervolume3(points[j], tuple(reference[j].tolist())) for j in range(len(scores.splits))])
