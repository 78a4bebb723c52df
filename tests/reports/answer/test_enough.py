import math

import pytest

from reports.answer.enough import MOST, enough_sources, enough_splits
from reports.stats.pooled_intervals import pooled_interval
from reports.stats.power import power
from reports.stats.statistics import corrected_interval, t_interval


@pytest.mark.parametrize(("mean", "error", "sources"), [(0.01, 0.01, 4), (0.004, 0.01, 9), (0.02, 0.03, 6)])
def test_so_many_sources_find_the_difference_8_times_of_10_and_one_fewer_does_not(mean, error, sources):
    n = enough_sources(t_interval(mean, error, sources - 1, sources), sources)
    spread = error * math.sqrt(sources)  # of one source
    assert n > sources
    assert power(mean / (spread / math.sqrt(n)), n - 1) >= 0.8 > power(mean / (spread / math.sqrt(n - 1)), n - 2)


def test_many_sources_need_about_the_square_of_2_8_standard_deviations():
    interval = t_interval(0.01, 0.1 / math.sqrt(50), 49, 50)  # a tenth of a standard deviation of one source
    assert enough_sources(interval, 50) == pytest.approx((2.8015 / 0.1) ** 2, rel=0.01)


def test_more_splits_of_the_same_rows_need_not_be_enough():
    values = [0.02, 0.0, 0.01]
    assert enough_splits(corrected_interval(values)) is None  # the rows stay the same: n_test / n_train of its variance
    n = enough_splits(corrected_interval([value + 0.02 for value in values]))
    assert 3 < n < 20
    assert enough_splits(corrected_interval(values), ratio=0.0) > n


def test_a_difference_that_small_is_not_settled_by_any_number_and_nothing_is_known_without_an_interval():
    assert enough_sources(t_interval(1e-5, 0.01, 3, 4), 4) is None
    assert enough_sources(t_interval(0.01, 0.01 * math.sqrt(MOST), 3, 4), 4) is None
    assert enough_splits(pooled_interval([[0.1]])) is None
