"""Composites: fixed combinations of metrics, for numbers, tensors of lanes and joint bootstrap draws alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

from metrics.resample import Resampled

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
    )


def _together(formula: Callable[..., Tensor], columns: list[Tensor | None]) -> Tensor | None:
    """The formula draw by draw; None if a part has no draws."""
    known = [column for column in columns if column is not None]
    return formula(*known) if len(known) == len(columns) else None
