"""Metrics of reasons, measured on a sample of the rows, beside those that were counted on all."""

from __future__ import annotations

import math
from dataclasses import replace

from metrics.composites import final
from metrics.count_scores import Scores
from metrics.registry import METRICS
from metrics.value import Status, Value


def with_reasons(counted: Scores, sampled: Scores, size: int) -> Scores:
    """Scores of all rows, with the metrics of reasons that a sample of ``size`` rows gives.

    Parameters
    ----------
    counted : Scores
        Of all rows (:func:`metrics.tallies.scores.tally_scores`).
    sampled : Scores
        Of the sample (:func:`metrics.score.score`).
    size : int
        Rows of the sample; every value that comes from it says so.

    Notes
    -----
    ``final@1`` is utility - fair_res of all rows - fair_proc of the sample. The sample is a small share of the rows, so
    that both sides count as independent: the ends of the three parts are added in squares (Zou & Donner, Statistics in
    Medicine 27, 2008). Utility and result fairness of the same rows are no independent parts; where a better
    prediction treats groups more alike, the interval is a little too wide.
    """
    note = f"on a stratified sample of {size:,} rows"
    reasons = {
        id: replace(value, reason="; ".join(part for part in (value.reason, note) if part))
        for id, value in sampled.values.items()
        if METRICS[id].kind == "procedural" or id == "fair_proc@1"
    }
    values = {**counted.values, **reasons}
    if {"utility@1", "fair_res@1", "fair_proc@1"} <= values.keys():
        values["final@1"] = _final(values["utility@1"], values["fair_res@1"], values["fair_proc@1"], note)
    return replace(counted, values={id: values[id] for id in METRICS if id in values})


def _final(utility: Value, result: Value, reasons: Value, note: str) -> Value:
    """The composite of values that are independent."""
    parts = (utility, result, reasons)
    missing = next((part for part in parts if part.status == "not_estimable"), None)
    if missing is not None:
        return Value.not_estimable(missing.reason)
    middle = final(utility.estimate, result.estimate, reasons.estimate)
    below = math.hypot(utility.estimate - utility.low, result.high - result.estimate, reasons.high - reasons.estimate)
    above = math.hypot(utility.high - utility.estimate, result.estimate - result.low, reasons.estimate - reasons.low)
    low, high = METRICS["final@1"].range
    status: Status = "degenerate" if result.status == "degenerate" else "ok"
    return Value(middle, max(low, middle - below), min(high, middle + above), status=status, reason=note)
