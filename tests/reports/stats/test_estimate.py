"""One metric of one method on one task, from rows."""

import math

import numpy as np
import pandas as pd
import pytest

from reports.stats.estimate import Estimate, estimates, values_by_split
from reports.stats.statistics import corrected_interval

NAN = math.nan


def estimate(mean, degenerate=0, asked=4, null=NAN):
    return Estimate(mean, mean - 0.25, mean + 0.75, NAN, NAN, null, asked, asked, degenerate, (), ())


def test_facts_of_an_estimate():
    assert estimate(0.5).half == 0.5 and not estimate(0.1).within_null
    assert estimate(0.1, null=0.1).within_null and estimate(-0.1, null=0.1).within_null
    assert not estimate(0.1001, null=0.1).within_null and not estimate(NAN, null=0.1).within_null
    assert [estimate(0.0, degenerate=k).mostly_degenerate for k in range(5)] == [False, False, True, True, True]
    assert not estimate(0.0, degenerate=0, asked=0).mostly_degenerate
    assert estimate(0.0, degenerate=1, asked=1).mostly_degenerate
    assert not estimate(0.0, degenerate=1, asked=3).mostly_degenerate


def row(split, value, *, seed=0, status="ok", reason="", low=0.0, high=1.0):
    return {
        "method": "mixture", "metric": "dp@1", "split": split, "seed": seed, "estimate": value, "low": low,
        "high": high, "null_p95": 0.3, "null_mean": NAN, "null_sd": NAN, "status": status, "reason": reason,
    }  # fmt: skip


def test_seeds_are_averaged_within_a_split_and_what_is_lacking_is_told():
    rows = pd.DataFrame([
        row(0, 0.1, reason="left out: c 4"), row(0, 0.3, seed=1, low=0.2), row(1, 0.0, status="degenerate"),
        row(2, NAN, status="failed", reason="it broke", low=NAN, high=NAN),
        row(3, NAN, status="timeout", low=NAN, high=NAN), row(4, 0.4, low=0.1, high=0.5),
    ])  # fmt: skip
    values = values_by_split(rows, [0, 1, 2, 3, 4, 5])
    assert values["mixture", "dp@1"] == pytest.approx([0.2, 0.0, NAN, NAN, 0.4, NAN], nan_ok=True)
    found = estimates(rows, values, 6)["mixture", "dp@1"]
    theirs = corrected_interval(np.array([0.2, 0.0, 0.4]))
    assert (found.mean, found.low, found.high) == (theirs.mean, theirs.low, theirs.high)
    assert (found.inner_low, found.inner_high) == pytest.approx(((0.0 + 0.2 + 0.0 + 0.1) / 4, 3.5 / 4))
    assert found.null_p95 == pytest.approx(0.3)
    assert (found.known, found.asked, found.degenerate) == (3, 6, 1)
    assert (found.reasons, found.notes) == (("it broke",), ("left out: c 4",))
    assert set(found.lost) == {("failed", 1), ("timeout", 1)}


def test_what_is_said_of_one_metric_is_not_said_of_another():
    rows = pd.DataFrame([row(0, 0.1, status="degenerate"), {**row(0, 0.8), "metric": "acc@1"}])
    found = estimates(rows, values_by_split(rows, [0]), 1)
    assert (found["mixture", "dp@1"].degenerate, found["mixture", "acc@1"].degenerate) == (1, 0)
