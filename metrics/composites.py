"""Composites: fixed combinations of metrics, for numbers, tensors of lanes and joint bootstrap draws alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from torch import Tensor

from metrics.resample import Resampled, interval

Number = TypeVar("Number", float, Tensor)


def utility(accuracy: Number, f1: Number, area: Number) -> Number:
    """(ACC + F1 + AUC)/3 in [0, 1], higher is better."""
    return (accuracy + f1 + area) / 3


def fair_proc(ref: Number, vef: Number, att_jsd: Number) -> Number:
    """Procedural unfairness (REF + VEF + ATT_JSD)/3 in [0, 4/3], lower is better."""
    return (ref + vef + att_jsd) / 3


def final(utility: Number, fair_res: Number, fair_proc: Number) -> Number:
    """Utility - result unfairness - procedural unfairness, in [-7/3, 1], higher is better."""
    return utility - fair_res - fair_proc


def combine(formula: Callable[..., Tensor], *parts: Resampled) -> Resampled:
    """A composite of metrics whose draws (and nulls) belong together: draw b of every part is of the same sample.

    Not estimable, with the part's reason, as soon as one part is.
    """
    for part in parts:
        if part.status == "not_estimable":
            return Resampled(float("nan"), status="not_estimable", reason=part.reason)
    estimate: Callable[..., float] = formula  # type: ignore[assignment]  # the formulas hold for floats too
    return Resampled(
        estimate(*(part.estimate for part in parts)),
        _together(formula, [part.draws for part in parts]),
        _together(formula, [part.null for part in parts]),
        exact=exact_ends(estimate, parts),
    )


def exact_ends(formula: Callable[..., float], parts: Sequence[Resampled]) -> tuple[float, float] | None:
    """Bounds of a formula where resampling misses the spread of some parts: the parts' distances, added in squares.

    The recovery of variance from bounds that Newcombe uses for a difference (Zou & Donner 2008).
    """
    if all(part.exact is None for part in parts):
        return None
    point = [part.estimate for part in parts]
    middle, below, above = formula(*point), 0.0, 0.0
    for k, part in enumerate(parts):
        ends = part.exact or interval(part.estimate, part.draws)
        moved = [formula(*point[:k], end, *point[k + 1 :]) - middle for end in ends]
        below, above = math.hypot(below, min([0.0, *moved])), math.hypot(above, max([0.0, *moved]))
    return middle - below, middle + above


def _together(formula: Callable[..., Tensor], columns: list[Tensor | None]) -> Tensor | None:
    """The formula draw by draw; None if a part has no draws."""
    known = [column for column in columns if column is not None]
    return formula(*known) if len(known) == len(columns) else None
