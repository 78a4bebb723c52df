"""How often a level that was kept on validation rows is kept on test rows too, counted by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from metrics.proportions import wilson
from reports.levels.ceiling import Part, ceiling
from reports.levels.levels import levels
from reports.levels.transfer import transfer
from reports.method import Method
from reports.methods import MethodRow
from tests.reports.levels.level_fixtures import level_rows, scenario

METHODS = tuple(Method(MethodRow(name, name), i, "baseline", name) for i, name in enumerate(("utility", "result")))
GERMAN = scenario("german", METHODS, splits=4)
CREDIT = scenario("credit", METHODS, splits=4)


def found_of(rows, scenarios=(GERMAN,)):
    return levels(pd.DataFrame(rows), METHODS, scenarios)


def of(rows, scenarios=(GERMAN,), parts=None):
    return transfer(found_of(rows, scenarios), parts, scenarios)


def cell(method, split, gap, level="0.05", task="german", **facts):
    return level_rows(task, method, split, "plain", level, 0.7, gap, **facts)


def test_counts_cells_that_kept_the_level_on_validation_rows():
    gaps = {"utility": (0.04, 0.06, 0.05, 0.2), "result": (0.01, 0.01, 0.01, 0.09)}
    rows = [row for method, own in gaps.items() for split, gap in enumerate(own) for row in cell(method, split, gap)]
    found = of(rows)
    every = found.by_level["0.05"]
    assert (every.kept, every.cells, every.scenarios) == (5, 8, 4)  # a gap of exactly the limit keeps it
    assert (every.low, every.high) == pytest.approx(wilson(4 * 5 / 8, 4))  # methods of a split share its rows
    utility = found.by_contender["0.05", ("utility", "plain")]
    assert (utility.kept, utility.cells, utility.share) == (2, 4, 0.5)
    assert found.overall["result", "plain"].share == 0.75


def test_imputed_and_not_estimable_cells_do_not_count():
    rows = [*cell("utility", 0, 0.0, status="imputed"), *cell("utility", 1, math.nan), *cell("utility", 2, 0.2)]
    found = of(rows)
    assert (found.by_level["0.05"].kept, found.by_level["0.05"].cells) == (0, 1)
    nothing = of(rows[:3])
    assert nothing.by_level["0.05"].cells == 0 and math.isnan(nothing.by_level["0.05"].share)
    assert nothing.levels == []
    assert math.isnan(nothing.by_level["0.05"].low)


def test_levels_of_one_split_are_one_scenario_and_any_gap_is_no_level():
    rows = [*cell("utility", 0, 0.03), *cell("utility", 0, 0.2, "0.10"), *cell("utility", 0, 0.3, "any")]
    found = of([*rows, *cell("result", 1, 0.01, status="imputed")])
    every = found.overall["utility", "plain"]
    assert (every.kept, every.cells, every.scenarios) == (1, 2, 1)
    assert (every.low, every.high) == pytest.approx(wilson(0.5, 1))
    assert found.levels == ["0.05", "0.10"] and found.by_level["any"].cells == 0
    assert set(found.by_contender) == {(level, ("utility", "plain")) for level in ("0.05", "0.10")}
    assert found.overall["result", "plain"].cells == 0


FAIR = Part(np.array([100.0, 100.0]), np.array([50.0, 50.0]), 0.5, 1.0)
"""Groups in which everybody who should be is selected and nobody else: no gap, on any rows."""
NOISY = Part(np.array([80.0, 60.0]), np.array([40.0, 30.0]), 0.5, 0.6)
ALONE = Part(np.array([100.0]), np.array([50.0]), 0.5, 0.6)
"""One group, between which and nothing there is no gap."""


@pytest.fixture(scope="module")
def capped():
    """Five cells, on splits of two tasks whose test parts are fair, noisy, not known and of one group."""
    rows = [row for split in range(4) for row in cell("utility", split, 0.04)]
    rows += [*cell("result", 0, 0.06), *cell("result", 0, 0.2, "any"), *cell("utility", 2, 0.04, task="credit")]
    parts = {("german", 0): FAIR, ("german", 1): NOISY, ("german", 3): ALONE, ("credit", 2): NOISY, ("scm", 0): FAIR}
    scenarios = (GERMAN, CREDIT, scenario("scm", METHODS, splits=1))
    found = found_of(rows, scenarios)
    return found, transfer(found, parts, scenarios)


def test_ceilings_are_those_of_test_parts_and_limits(capped):
    found, moved = capped
    assert set(moved.ceilings) == {("german", 0, "0.05"), ("german", 1, "0.05"), ("german", 3, "0.05"),
                                   ("credit", 2, "0.05")}  # fmt: skip
    assert moved.ceilings["german", 0, "0.05"].zero == 1
    assert moved.ceilings["german", 1, "0.05"] == ceiling(NOISY, found.gap, 0.05, "german")
    assert moved.ceilings["credit", 2, "0.05"] == ceiling(NOISY, found.gap, 0.05, "credit")


def test_ceilings_are_averaged_over_the_cells_for_which_they_are_known(capped):
    fair, noisy, other = (ceiling(part, "fair_res@1", 0.05, task) for part, task in
                          ((FAIR, "german"), (NOISY, "german"), (NOISY, "credit")))  # fmt: skip
    assert 0 < noisy.zero < 1 and noisy.limit < fair.limit
    found, moved = capped
    every, one = moved.by_level["0.05"], moved.by_contender["0.05", ("result", "plain")]
    assert (every.kept, every.cells, every.scenarios) == (5, 6, 5)
    assert every.ceiling == pytest.approx((fair.zero + noisy.zero + fair.zero + other.zero) / 4)
    assert every.at_limit == pytest.approx((fair.limit + noisy.limit + fair.limit + other.limit) / 4)
    assert (one.ceiling, one.at_limit) == (fair.zero, fair.limit)
    assert math.isnan(transfer(found).by_level["0.05"].ceiling)


def test_a_task_has_its_own_cells_and_ceilings(capped):
    found, moved = capped
    utility = found.contender(("utility", "plain"))
    german = moved.on_task(found, "german", "0.05", utility)
    assert (german.kept, german.cells, german.scenarios) == (4, 4, 4)
    fair, noisy = (ceiling(part, "fair_res@1", 0.05, "german") for part in (FAIR, NOISY))
    assert german.ceiling == pytest.approx((fair.zero + noisy.zero) / 2)
    assert moved.on_task(found, "credit", "0.05", utility).cells == 1
    assert moved.on_task(found, "credit", "0.05", found.contender(("result", "plain"))).cells == 0
