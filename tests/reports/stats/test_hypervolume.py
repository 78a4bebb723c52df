import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.stats.hypervolume import by_method, hypervolume
from reports.table import FURTHER

REFERENCE = (0.6, 0.2)


def points(*rows):
    return np.array(rows, dtype=float).reshape(-1, 2)


def test_known_answers():
    # half of the way in utility (0.6 to 1) and half of the gap gone
    assert hypervolume(points((0.8, 0.1)), REFERENCE) == pytest.approx(0.25)
    # two steps: 0.5 × 0.5 and 0.25 × 1, of which 0.25 × 0.5 is shared
    assert hypervolume(points((0.8, 0.1), (0.7, 0.0)), REFERENCE) == pytest.approx(0.25 + 0.25 - 0.125)
    assert hypervolume(points((1.0, 0.0)), REFERENCE) == 1.0


def test_no_better_than_the_reference_is_nothing():
    assert hypervolume(points((0.6, 0.0), (0.9, 0.2), (0.5, 0.1), (0.9, 0.4)), REFERENCE) == 0.0


def test_a_dominated_point_adds_nothing():
    assert hypervolume(points((0.8, 0.1), (0.7, 0.15)), REFERENCE) == hypervolume(points((0.8, 0.1)), REFERENCE)


@pytest.mark.parametrize("reference", [(1.0, 0.2), (0.6, 0.0), (0.6, 0.005), (math.nan, 0.2), (0.6, math.nan)])
def test_without_a_reference_it_is_not_defined(reference):
    assert math.isnan(hypervolume(points((0.8, 0.1)), reference))


def test_without_points_it_is_not_defined():
    assert math.isnan(hypervolume(points((math.nan, 0.1)), REFERENCE))


POINT = st.tuples(st.floats(0, 1), st.floats(0, 1))


@given(st.lists(POINT, min_size=1, max_size=8), POINT, st.floats(0, 0.3))
@settings(max_examples=150, deadline=None)
def test_adding_or_improving_a_point_never_lowers_it(rows, more, step):
    before = hypervolume(points(*rows), REFERENCE)
    assert 0 <= before <= 1 + 1e-12
    assert hypervolume(points(*rows, more), REFERENCE) >= before - 1e-12
    better = [(min(1.0, rows[0][0] + step), max(0.0, rows[0][1] - step)), *rows[1:]]
    assert hypervolume(points(*better), REFERENCE) >= before - 1e-12


@given(st.lists(POINT, min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_it_is_the_area_on_a_grid(rows):
    side = (np.arange(200) + 0.5) / 200
    u, g = 0.6 + 0.4 * side[:, None], 0.2 * (1 - side[None, :])
    covered = np.zeros((200, 200), dtype=bool)
    for utility, gap in rows:
        covered |= (utility >= u) & (gap <= g)
    assert hypervolume(points(*rows), REFERENCE) == pytest.approx(covered.mean(), abs=0.03)


def level(method, split, level, utility, gap, variant="plain"):
    head = dict.fromkeys(FURTHER["levels"].columns, "")
    for metric, value in (("utility@1", utility), ("fair_res@1", gap)):
        yield head | {
            "method": method, "split": split, "seed": 0, "variant": variant, "gap": "fair_res@1", "level": level,
            "metric": metric,
            "estimate": value, "validation": value, "status": "ok",
        }  # fmt: skip


def test_points_of_a_method_are_its_headline_and_its_plain_levels(report):
    scenario = report.scenarios[0]
    split = scenario.splits[0]
    reference = scenario.values["constant", "utility@1"][0], scenario.values["utility", "fair_res@1"][0]
    rows = [*level("mixture", split, "0.05", 0.95, 0.0), *level("result", split, "0.05", 1.0, 0.0, "thresholds")]
    found = by_method(scenario, pd.DataFrame(rows))
    own = scenario.values["mixture", "utility@1"][0], scenario.values["mixture", "fair_res@1"][0]
    assert found["mixture"][0] == pytest.approx(hypervolume(points(own, (0.95, 0.0)), reference))
    assert found["result"][0] < 1  # thresholds are no plain level
    assert found["constant"].tolist() == [0.0] * len(scenario.splits)
    assert found["utility"].tolist() == [0.0] * len(scenario.splits)
