"""What a contender reaches, read from a few rows and worked by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from reports.levels.reached import FIXED, LEVELS, Reached, reached_by_task
from tests.reports.levels.level_fixtures import level_rows

NAN = float("nan")


def reached(gap=(0.01, 0.05, 0.06), limit=(0.05, 0.05, 0.05), imputed=(False, False, False)):
    arrays = [np.array(values, dtype=float) for values in ((0.7, 0.8, 0.9), (0.6, 0.7, 0.8), gap, limit)]
    return Reached(*arrays, np.array(imputed))


def found_of(*rows, splits=(0, 2), name="german", **more):
    scores = SimpleNamespace(name=name, where={"task": "german"}, splits=splits)
    return reached_by_task(pd.DataFrame([row for own in rows for row in own]), [scores], **more)


def test_a_gap_of_exactly_the_limit_keeps_it_and_an_imputed_split_keeps_nothing():
    assert reached().kept == 2
    assert reached(imputed=(True, False, False)).kept == 1
    assert reached(gap=(0.01, NAN, 0.0)).kept == 2


@pytest.mark.parametrize(("imputed", "feasible"), [(0, True), (1, True), (2, False), (3, False), (4, False)])
def test_half_of_the_splits_are_not_enough(imputed, feasible):
    limit = np.full(4, 0.05)
    one = Reached(limit, limit, limit, limit, np.arange(4) < imputed)
    assert (one.splits, one.feasible) == (4, feasible)


def test_splits_without_a_row_do_not_count():
    one = reached(limit=(0.05, NAN, NAN))
    assert (one.splits, one.kept, one.feasible) == (1, 1, True)


def test_levels_that_are_the_same_on_all_tasks_are_no_shares_of_a_tasks_own_gap():
    assert tuple(level for level in LEVELS if level == "any" or level.startswith("0.")) == FIXED
    assert set(LEVELS) - set(FIXED) == {"half", "quarter"}


def test_means_are_over_splits():
    assert reached().interval.mean == pytest.approx(0.8)
    assert reached().gap_interval.mean == pytest.approx(0.04)


def test_values_stand_in_the_places_of_their_splits():
    found = found_of(
        level_rows("german", "trees", 2, "plain", "0.05", 0.7, 0.04, validation=0.75),
        level_rows("german", "trees", 0, "oof", "0.05", 0.6, 0.09, status="imputed"),
        level_rows("german", "trees", 0, "oof", "any", 0.65, 0.3),
    )
    assert list(found) == ["german"] and list(found["german"]) == ["0.05", "any"]
    plain, oof = found["german"]["0.05"]["trees", "plain"], found["german"]["0.05"]["trees", "oof"]
    np.testing.assert_array_equal(plain.test, [NAN, 0.7])
    np.testing.assert_array_equal(plain.validation, [NAN, 0.75])
    np.testing.assert_array_equal(plain.gap, [NAN, 0.04])
    np.testing.assert_array_equal(plain.limit, [NAN, 0.05])
    np.testing.assert_array_equal(oof.test, [0.6, NAN])
    assert plain.imputed.tolist() == [False, False] and oof.imputed.tolist() == [True, False]
    assert np.isinf(found["german"]["any"]["trees", "oof"].limit[0])


def test_other_gaps_bounds_on_reasons_unknown_variants_and_levels_are_left_out():
    wanted = level_rows("german", "trees", 0, "plain", "0.05", 0.7, 0.04)
    others = [
        level_rows("german", "trees", 0, "plain", "0.05", 0.1, 0.04, bounded="dp@1"),
        level_rows("german", "trees", 0, "plain", "0.05", 0.1, 0.04, procedural="0.02"),
        level_rows("german", "trees", 0, "another", "0.05", 0.1, 0.04),
        level_rows("german", "trees", 0, "plain", "0.33", 0.1, 0.04, limit=0.33),
        level_rows("adult", "trees", 0, "plain", "0.05", 0.1, 0.04),
        level_rows("german", "trees", 0, "plain", "0.05", 0.7, 0.04, more={"dp@1": (0.5, 0.5)}),
    ]
    alone, among = found_of(wanted), found_of(*others[:-1], wanted)
    assert list(among["german"]) == ["0.05"] and list(among["german"]["0.05"]) == [("trees", "plain")]
    for name in ("test", "gap", "limit"):
        one, other = (getattr(f["german"]["0.05"]["trees", "plain"], name) for f in (alone, among))
        np.testing.assert_array_equal(one, other)
    assert found_of(others[-1])["german"]["0.05"]["trees", "plain"].gap[0] == 0.04
    parity = found_of(*others[:1], wanted, gap="dp@1")["german"]["0.05"]["trees", "plain"]
    assert parity.test[0] == 0.1


def test_a_task_without_rows_is_no_task():
    assert found_of(level_rows("adult", "trees", 0, "plain", "0.05", 0.7)) == {}
