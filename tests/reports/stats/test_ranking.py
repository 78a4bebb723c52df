import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from foundation.seeding import named_generator
from reports.stats.pooled_intervals import pooled_interval
from reports.stats.ranking import Unranked, cliques, rank_methods, ranks
from reports.stats.resampling import resampling
from reports.stats.statistics import corrected_interval
from tests.reports.conftest import method


def methods(n):
    return [method(f"m{i}", i + 1) for i in range(n)]


def draw(sizes):
    return resampling(sizes, named_generator("test", *map(str, sizes)))


def names(tasks, splits):
    return [(f"t{t}", s) for t in range(tasks) for s in range(splits)]


def ranking(values, tasks, splits, statuses=None, metric="utility@1"):
    count = values.shape[1]
    return rank_methods(
        metric,
        methods(count),
        values,
        statuses or [{}] * count,
        names(tasks, splits),
        lambda counted: draw(tuple(counted.values())),
    )


def test_ranks_are_those_of_scipy():
    values = np.random.default_rng(0).integers(0, 5, (12, 6)).astype(float)
    assert ranks(values, larger=False) == pytest.approx(stats.rankdata(values, axis=1))
    assert ranks(values, larger=True) == pytest.approx(stats.rankdata(-values, axis=1))


def test_values_that_differ_by_rounding_tie():
    assert ranks(np.array([[0.1 + 0.2, 0.3, 0.1]]), larger=True).tolist() == [[1.5, 1.5, 3.0]]


def test_draws_have_the_error_of_the_closed_form():
    rng = np.random.default_rng(1)
    sizes, values = (5, 3, 5, 4), rng.normal(0, 1, (17, 1))
    rows = np.split(values[:, 0], np.cumsum(sizes)[:-1])
    theirs = pooled_interval(rows)
    drawn = draw(sizes)
    assert drawn.means(values)[0] == pytest.approx(theirs.mean)
    ours = drawn.quantile * drawn.deviations(values).std(axis=0)[0]
    assert ours == pytest.approx(theirs.half, rel=0.03)


def test_one_task_gets_the_corrected_interval_of_its_splits():
    values = np.random.default_rng(3).normal(0, 1, (8, 1))
    drawn = draw((8,))
    half = drawn.quantile * drawn.deviations(values).std(axis=0)[0]
    assert half == pytest.approx(corrected_interval(values[:, 0]).half, rel=0.03)


def test_splits_of_a_task_are_no_independent_evidence():
    # five copies of each task's value are worth no more than one
    task_values = np.random.default_rng(4).normal(0, 1, (6, 1))
    few, many = draw((1,) * 6), draw((5,) * 6)
    wide = few.deviations(task_values).std()
    assert many.deviations(np.repeat(task_values, 5, axis=0)).std() == pytest.approx(wide, rel=0.05)


def test_clear_order_is_separated_and_intervals_hold_the_mean():
    # eight tasks, two splits: always the same order
    values = np.tile([0.9, 0.8, 0.7], (16, 1)) + np.random.default_rng(5).normal(0, 0.001, (16, 3))
    found = ranking(values, 8, 2)
    assert [row.method.id for row in found.rows] == ["m0", "m1", "m2"]
    assert [row.mean for row in found.rows] == [1, 2, 3]
    assert [row.group for row in found.rows] == ["1", "2", "3"]
    assert [row.place for row in found.rows] == ["1", "2", "3"]
    assert all(row.low <= row.mean <= row.high for row in found.rows)


def test_a_gap_ranks_the_smallest_first():
    found = ranking(np.tile([0.3, 0.1], (4, 1)), 2, 2, metric="fair_res@1")
    assert found.rows[0].method.id == "m1"


def test_noise_ties_and_every_place_is_possible():
    values = np.random.default_rng(6).normal(0, 1, (30, 4))
    found = ranking(values, 10, 3)
    assert found.groups == ((0, 3),)
    assert {row.group for row in found.rows} == {"1"}
    assert max(row.worst - row.best for row in found.rows) >= 2


def test_the_same_numbers_under_two_names_never_separate():
    own = np.random.default_rng(7).normal(0, 1, (24, 1))
    found = ranking(np.hstack([own, own, own - 3]), 8, 3)
    assert found.tied[0, 1] and not found.tied[0, 2]
    assert [row.place for row in found.rows] == ["1–2", "1–2", "3"]


def test_two_scenarios_of_one_order_prove_nothing():
    # without the variance of rounded ranks, two agreeing tasks would be sure
    found = ranking(np.array([[0.9, 0.8], [0.7, 0.6]]), 2, 1)
    assert found.tied.all()


def test_one_scenario_has_no_interval():
    found = ranking(np.array([[0.9, 0.8, 0.7]]), 1, 1)
    assert math.isnan(found.rows[0].low) and found.rows[0].place == "1–3" and found.tied.all()


def test_a_missing_cell_is_named_and_never_ranked():
    values = np.random.default_rng(8).normal(0, 1, (10, 4))
    values[3, 2] = values[4, 2] = values[0, 1] = math.nan
    found = ranking(values, 5, 2, [{}, {0: "not_estimable"}, {3: "failed"}, {}])
    assert {row.method.id for row in found.rows} == {"m0", "m3"}
    assert isinstance(found.of("m2"), Unranked)
    assert (found.of("m2").lacking, found.of("m2").missing) == ({"failed": 1, "absent": 1}, 2)
    assert (found.of("m1").lacking, found.of("m1").asked) == ({"not_estimable": 1}, 10)


def test_a_scenario_that_nobody_can_answer_is_left_out_by_name():
    values = np.random.default_rng(9).normal(0, 1, (6, 3))
    values[5, :2] = math.nan  # one of three has a number
    found = ranking(values, 3, 2)
    assert found.left_out == ("t2, split 1",) and found.sizes == (2, 2, 1)
    assert len(found.rows) == 3 and not found.unranked


def test_nothing_to_rank():
    found = ranking(np.full((4, 2), math.nan), 2, 2)
    assert found.rows == () and found.scenarios == 0


@given(st.integers(1, 7), st.integers(0, 2**20))
@settings(max_examples=60, deadline=None)
def test_cliques_are_maximal_runs_without_a_separable_pair(n, seed):
    tied = np.random.default_rng(seed).random((n, n)) < 0.7
    tied = tied & tied.T | np.eye(n, dtype=bool)
    expected = {
        (a, b)
        for a in range(n)
        for b in range(a, n)
        if tied[a : b + 1, a : b + 1].all()
        and (a == 0 or not tied[a - 1 : b + 1, a - 1 : b + 1].all())
        and (b == n - 1 or not tied[a : b + 2, a : b + 2].all())
    }
    assert set(cliques(tied)) == expected


@given(st.integers(0, 2**20))
@settings(max_examples=15, deadline=None)
def test_mean_ranks_sum_up_and_stay_in_range(seed):
    values = np.random.default_rng(seed).normal(0, 1, (8, 5))
    found = ranking(values, 4, 2)
    assert sum(row.mean for row in found.rows) == pytest.approx(15)
    for place, row in enumerate(found.rows, start=1):
        assert 1 <= row.low <= row.mean <= row.high <= 5
        assert 1 <= row.best <= place <= row.worst <= 5
        assert row.first <= row.last <= len(found.groups)


def wins(of_first, tasks):
    """Two methods on tasks of one split each; the first wins on so many of them."""
    return ranking(np.array([[0.9, 0.8]] * of_first + [[0.8, 0.9]] * (tasks - of_first)), tasks, 1)


def test_seven_wins_of_eight_separate_two_methods_and_six_do_not():
    # mean ranks 1.125 and 1.875; the difference has variance 4 · 0.125/8 + 2 · 1.5/(12 · 8): t(7) = 2.45, p = 0.044
    seven, six = wins(7, 8), wins(6, 8)
    assert not seven.tied[0, 1] and [row.place for row in seven.rows] == ["1", "2"]
    # t = 1.37: p = 0.21, and about one draw in twelve has the other order
    assert six.tied[0, 1] and [row.place for row in six.rows] == ["1–2", "1–2"]
    half = stats.t.ppf(0.975, 7) * math.sqrt(0.125 / 8 + 1.5 / (12 * 8))
    assert seven.rows[0].high == pytest.approx(1.125 + half, abs=0.02)


def test_two_scenarios_have_an_interval():
    found = wins(2, 2)
    assert (found.rows[0].low, found.rows[0].high) == (1.0, 2.0)


def test_a_method_without_any_number_is_named_and_hinders_nobody():
    values = np.tile([0.9, math.nan, 0.7], (4, 1))
    found = ranking(values, 2, 2)
    assert [row.method.id for row in found.rows] == ["m0", "m2"] and found.left_out == ()
    assert found.of("m1").missing == 4
