"""Holm's adjustment, by hand and by its bounds."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.holm import holm


def test_holm_known_answer():
    # Holm (1979) by hand: 4 · .01, 3 · .013 (raised to .04), 2 · .03, 1 · .05 (raised to .06)
    assert holm([0.03, 0.01, 0.05, 0.013]) == pytest.approx([0.06, 0.04, 0.06, 0.04])


def test_holm_ignores_what_was_not_tested():
    adjusted = holm([0.01, math.nan, 0.04])
    assert adjusted[0] == pytest.approx(0.02) and math.isnan(adjusted[1]) and adjusted[2] == pytest.approx(0.04)
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_the_raw_p_value_and_bonferroni_and_keeps_the_order(p):
    adjusted = holm(p)
    assert all(raw <= a <= min(1.0, raw * len(p)) + 1e-12 for raw, a in zip(p, adjusted, strict=True))
    assert all(adjusted[i] <= adjusted[j] for i in range(len(p)) for j in range(len(p)) if p[i] < p[j])


def test_adjusted_p_values_end_at_one_and_equal_ones_stay_equal():
    assert holm([0.6, 0.7]) == [1.0, 1.0] and holm([1.0]) == [1.0]
    assert holm([0.02, 0.5, 0.02]) == pytest.approx([0.06, 0.5, 0.06])
    assert all(math.isnan(p) for p in holm([math.nan, math.nan]))
