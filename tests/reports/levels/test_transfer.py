import math

import pandas as pd
import pytest

from metrics.proportions import wilson
from reports.levels.levels import levels
from reports.levels.transfer import transfer
from reports.summary import summarise
from reports.table import read_results
from tests.reports.levels.level_fixtures import level_rows


@pytest.fixture(scope="module")
def small(make_run, tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("transfer"), tasks=("german",), methods=("utility", "result"), splits=4)
    return summarise(read_results(folder))


def of(report, rows):
    return transfer(levels(pd.DataFrame(rows), report.methods, report.scenarios))


def test_counts_cells_that_kept_the_level_on_validation_rows(small):
    gaps = {"utility": (0.04, 0.06, 0.05, 0.2), "result": (0.01, 0.01, 0.01, 0.09)}
    rows = [
        row
        for method, own in gaps.items()
        for split, gap in enumerate(own)
        for row in level_rows("german", method, split, "plain", "0.05", 0.7, gap)
    ]
    found = of(small, rows)
    every = found.by_level["0.05"]
    assert (every.kept, every.cells, every.scenarios) == (5, 8, 4)  # a gap of exactly the limit keeps it
    assert (every.low, every.high) == pytest.approx(wilson(4 * 5 / 8, 4))  # methods of a split share its rows
    utility = found.by_contender["0.05", ("utility", "plain")]
    assert (utility.kept, utility.cells, utility.share) == (2, 4, 0.5)
    assert found.overall["result", "plain"].share == 0.75


def test_imputed_and_not_estimable_cells_do_not_count(small):
    rows = level_rows("german", "utility", 0, "plain", "0.05", 0.7, 0.0, status="imputed")
    rows += level_rows("german", "utility", 1, "plain", "0.05", 0.7, math.nan)
    rows += level_rows("german", "utility", 2, "plain", "0.05", 0.7, 0.2)
    found = of(small, rows)
    assert (found.by_level["0.05"].kept, found.by_level["0.05"].cells) == (0, 1)
    nothing = of(small, rows[:3])
    assert nothing.by_level["0.05"].cells == 0 and math.isnan(nothing.by_level["0.05"].share)
    assert nothing.levels == []
