"""The learning zone of a set."""

import math

import pytest

from llm_experts.generation.zone import Zone, zone_of


def test_mean_and_interval() -> None:
    zone = zone_of([0.6, 0.8, math.nan, 0.7, 0.9])
    # standard deviation of .6 .8 .7 .9: sqrt(.05 / 3)
    half = 1.959964 * math.sqrt(0.05 / 3) / 2
    assert zone.mean == pytest.approx(0.75)
    assert (zone.low, zone.high) == (pytest.approx(0.75 - half), pytest.approx(0.75 + half))
    assert zone.inside


def test_outside() -> None:
    assert not zone_of([0.9, 0.95]).inside
    assert zone_of([0.9, 0.95], (0.5, 1.0)).inside


def test_too_few() -> None:
    assert zone_of([math.nan]) == Zone(None, None, None, False)
    assert zone_of([0.75]) == Zone(0.75, None, None, True)
    assert Zone.from_dict(zone_of([0.75]).as_dict()) == zone_of([0.75])
