"""Sums to values with intervals, ties, macro means, and the cap."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.seeding import numpy_generator
from llm_experts.bias.result import capped, chosen, macro, preferred, resampled, row
from llm_experts.bias.run import METRICS
from metrics.proportions import quotient
from metrics.resample import Resampled


def mean(sums: np.ndarray) -> np.ndarray:
    return quotient(sums[..., 1], sums[..., 0])


def test_ratios_without_a_denominator_are_nan() -> None:
    assert quotient(np.array([1.0, 2.0]), np.array([0.0, 4.0])).tolist() == [pytest.approx(math.nan, nan_ok=True), 0.5]


def test_ties_count_half_and_rounding_is_a_tie() -> None:
    assert preferred(np.array([1.0, 1.0, 1.0, 0.0]), np.array([0.0, 1.0, 1.0 + 1e-9, 1.0])).tolist() == [1, 0.5, 0.5, 0]
    assert chosen(np.array([[0.0, 1.0, 1.0], [3.0, 1.0, 2.0]])).tolist() == [[0, 0.5, 0.5], [1, 0, 0]]


def test_clusters_are_drawn_together() -> None:
    columns = np.stack([np.ones(40), np.repeat([0.0, 1.0], 20)], axis=1)
    apart = resampled(columns, range(40), mean, numpy_generator(0, "a"), "").value()
    together = resampled(columns, [k // 10 for k in range(40)], mean, numpy_generator(0, "a"), "").value()
    assert apart.estimate == together.estimate == 0.5
    error = math.sqrt(0.25 / 40)  # of a mean of 40 independent coins
    assert apart.high - apart.low == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert together.high - together.low > 2.5 * (apart.high - apart.low)


def test_a_value_without_denominator_is_not_estimable() -> None:
    found = resampled(np.zeros((3, 2)), range(3), mean, numpy_generator(0, "a"), "nothing was answered").value()
    assert (found.status, found.reason) == ("not_estimable", "nothing was answered")
    assert math.isnan(found.estimate) and math.isnan(found.low)
    assert resampled(np.zeros((0, 2)), [], mean, numpy_generator(0, "a"), "").value().reason == "there are no items"


def test_one_unit_has_no_interval() -> None:
    found = resampled(np.ones((5, 2)), ["one"] * 5, mean, numpy_generator(0, "a"), "").value()
    assert found.estimate == 1
    assert math.isnan(found.low) and math.isnan(found.high)


def test_units_that_all_agree_are_not_exact() -> None:
    """Five of six right in each of eight templates: 48 questions, of which no resampling gives another share."""
    columns = np.stack([np.ones(48), np.tile([1.0, 1, 1, 1, 1, 0], 8)], axis=1)
    units = np.repeat(np.arange(8), 6).tolist()
    part = resampled(columns, units, mean, numpy_generator(0, "a"), "", bounds=(0, 1))
    found = part.value(bounds=(0, 1))
    otherwise = 1 - 0.025 ** (1 / 8)  # share of templates that eight without exception leave open
    assert found.low == pytest.approx(5 / 6 * (1 - otherwise))
    assert found.high == pytest.approx(5 / 6 + otherwise / 6)
    whole = macro({"one": part, "two": part}).value(bounds=(0, 1))
    assert whole.estimate - whole.low == pytest.approx((found.estimate - found.low) / math.sqrt(2))
    unbounded = resampled(columns, units, mean, numpy_generator(0, "a"), "").value()
    assert math.isnan(unbounded.low), "how far the others may lie is not known"


def test_macro_is_a_mean_of_categories_or_not_estimable() -> None:
    columns = np.stack([np.ones(20), np.arange(20) % 2], axis=1)
    one = resampled(columns, range(20), mean, numpy_generator(0, "a"), "")
    other = resampled(columns, range(20), mean, numpy_generator(0, "b"), "")
    both = macro({"one": one, "other": other}).value()
    assert both.estimate == 0.5
    assert both.high - both.low == pytest.approx((one.value().high - one.value().low) / math.sqrt(2), rel=0.1)
    broken = Resampled(math.nan, status="not_estimable", reason="u = 0")
    assert macro({"one": one, "age": broken}).value().reason == "not estimable for age"


def test_rows_stay_within_the_metrics_range() -> None:
    made = row(METRICS["bbq/acc_amb@1"], "Age", Resampled(1.0), 4)
    assert made["estimate"] == 1
    assert made["n"] == 4
    assert {m.set for m in METRICS.values()} == {"bbq", "bold", "crows_pairs", "stereoset", "winobias"}
    with pytest.raises(KeyError):
        row(METRICS["bbq/unknown@1"], "Age", Resampled(1.0), 4)


@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=80), st.integers(1, 90), st.booleans())
def test_caps_are_spread_over_strata(strata: list[str], limit: int, equal: bool) -> None:
    kept = capped(strata, limit, numpy_generator(0, "cap"), equal=equal)
    assert len(kept) == min(limit, len(strata))
    assert kept == sorted(set(kept))
    sizes, found = Counter(strata), Counter(strata[k] for k in kept)
    if limit >= len(sizes):
        assert set(found) == set(sizes)
        for name, size in sizes.items():
            if equal:
                least = min(size, limit // len(sizes))
                assert found[name] >= least
            else:
                assert found[name] <= max(1, math.ceil(size * limit / len(strata)) + 1)


def test_caps_follow_the_seed() -> None:
    strata = ["a"] * 50 + ["b"] * 50
    same = [capped(strata, 10, numpy_generator(seed, "cap")) for seed in (0, 0, 1)]
    assert same[0] == same[1] != same[2]
    assert capped(strata, None, numpy_generator(0, "cap")) == list(range(100))
