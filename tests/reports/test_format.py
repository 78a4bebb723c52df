import math

import pytest

from reports.format import count_text, estimate_text, half_text, interval_text, seconds_text, signed, value_text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.8434, "0.843"), (0.00213, "0.0021"), (-0.05, "−0.050"), (0.0, "0.000"), (-1e-9, "0.0000"), (math.nan, "–")],
)
def test_value(value, text):
    assert value_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.012, "+0.012"), (-0.003, "−0.003"), (0.0, "0.000"), (-0.0001, "−0.0001"), (1e-9, "0.0000"), (math.nan, "–")],
)
def test_signed(value, text):
    assert signed(value) == text


def test_value_and_interval_share_their_digits():
    assert (estimate_text(0.0052, 0.003), half_text(0.0052, 0.003)) == ("0.0052", "±0.0030")
    assert (estimate_text(0.0052, 0.03), half_text(0.0052, 0.03)) == ("0.005", "±0.030")
    assert half_text(0.5, math.nan) == ""
    assert half_text(0.5, 3.2) == "±>1"


def test_intervals_counts_and_seconds():
    assert interval_text(-0.0041, 0.0123) == "[−0.004, 0.012]"
    assert interval_text(0.001, 0.002) == "[0.0010, 0.0020]"
    assert interval_text(math.nan, 1.0) == ""
    assert count_text(1234567.0) == "1\u202f234\u202f567"
    assert [seconds_text(v) for v in (123.4, 1.26, 0.051, math.nan)] == ["123", "1.3", "0.05", "–"]
