"""Metrics of reasons beside counted ones: the composite by hand."""

from __future__ import annotations

import math

import pytest

from metrics.count_scores import Scores
from metrics.tallies.reasons import with_reasons
from metrics.value import Value

PARTS = {"utility@1": Value(0.8, 0.75, 0.83), "fair_res@1": Value(0.1, 0.06, 0.12)}
REASONS = Value(0.2, 0.15, 0.26)


def composite(reasons: Value | None = REASONS, **changed: Value) -> Value | None:
    """``final@1`` of a sample of 1,200 rows."""
    counted = {**PARTS, **{f"{name}@1": value for name, value in changed.items()}}
    sampled = {"acc@1": Value(0.3)} | ({} if reasons is None else {"fair_proc@1": reasons})
    found = with_reasons(Scores(counted, [], False), Scores(sampled, [], False), 1200)
    assert not found.degenerate and "acc@1" not in found.values
    if reasons is not None and not reasons.reason:
        assert found.values["fair_proc@1"].reason == "on a stratified sample of 1,200 rows"
    return found.values.get("final@1")


def test_ends_are_added_in_squares() -> None:
    final = composite()
    assert final is not None and final.estimate == pytest.approx(0.5)
    assert final.low == pytest.approx(0.5 - math.sqrt(0.05**2 + 0.02**2 + 0.06**2))
    assert final.high == pytest.approx(0.5 + math.sqrt(0.03**2 + 0.04**2 + 0.05**2))
    assert (final.status, final.reason) == ("ok", "on a stratified sample of 1,200 rows")


def test_ends_stay_in_the_range_of_the_metric() -> None:
    high = composite(Value(0.0, 0.0, 0.1), utility=Value(0.98, 0.9, 1.0), fair_res=Value(0.01, 0.0, 0.2))
    assert high is not None and high.high == pytest.approx(0.97 + math.hypot(0.02, 0.01)) and high.high < 1
    wide = composite(Value(0.0, 0.0, 0.1), utility=Value(0.98, 0.9, 1.4), fair_res=Value(0.01, 0.0, 0.2))
    deep = composite(Value(1.0, 0.9, 3.0), utility=Value(0.1, 0.0, 0.2), fair_res=Value(0.9, 0.8, 3.0))
    assert wide is not None and wide.high == 1.0 and deep is not None and deep.low == -7 / 3


def test_a_composite_of_gaps_that_mean_little_means_little_and_one_of_nothing_is_nothing() -> None:
    flat = composite(fair_res=Value(0.0, 0.0, 0.0, status="degenerate", reason="constant"))
    assert flat is not None and flat.status == "degenerate"
    missing = composite(Value.not_estimable("no reasons"))
    assert missing is not None and (missing.status, missing.reason) == (
        "not_estimable", "no reasons; on a stratified sample of 1,200 rows",
    )  # fmt: skip
    assert composite(None) is None
