"""Figures of the page where there is little to draw."""

import pytest

from reports.figures import svg
from reports.figures.scatter import scatter


@pytest.mark.parametrize("value", [0.0, 0.5, -3.0])
def test_an_axis_of_one_value_has_it_in_the_middle(value):
    axis = svg.Axis(value, value, 10, 30)
    assert axis(value) == pytest.approx(20)
    assert value in axis.ticks() or len(axis.ticks()) > 1


def test_the_oracle_front_is_drawn_apart_and_named(report):
    for scenario in report.scenarios:
        drawn = scatter(scenario)
        assert drawn.count('class="oracle"') <= 1
        assert ("oracle: the front that test values would choose" in drawn) == ('class="oracle"' in drawn)
    assert any('class="oracle"' in scatter(s) for s in report.scenarios)


def test_every_mark_carries_what_the_filter_hides_it_by(report):
    drawn = scatter(report.scenarios[0])
    for name in ("of-gate", "of-static", "of-expert", "of-twin secondary", "of-baseline"):
        assert f'class="{name}"' in drawn
