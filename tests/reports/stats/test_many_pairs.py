"""Tests and intervals over tasks at once for many pairs, and where the exact count of ties ends."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from foundation.seeding import named_generator
from reports.stats.pooled_intervals import interval_at, pooled_intervals
from reports.stats.rank_tests import ENUMERABLE, friedman, wilcoxon
from reports.stats.ranking import ranks
from reports.stats.statistics import Interval, corrected_interval, hierarchical_bootstrap


def p_of(differences: list[float]) -> float:
    return float(wilcoxon(np.array(differences)[:, None])[0])


def counted(differences: list[float]) -> float:
    """Two-sided p of the signed-rank test by counting every pattern of signs."""
    size = stats.rankdata(np.abs(differences))
    low = min(size[np.array(differences) > 0].sum(), size[np.array(differences) < 0].sum())
    signs = np.array(list(itertools.product((0, 1), repeat=len(differences))))
    return min(1.0, 2 * float((signs @ size <= low + 1e-9).mean()))


def test_a_task_on_which_all_methods_tie_is_one_of_the_blocks() -> None:
    values = np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [1.0, 2.0, 3.0]])
    theirs = stats.friedmanchisquare(*values.T)
    assert friedman(ranks(values, larger=False)) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert theirs.statistic > 0


def test_ties_among_thirteen_differences_are_counted_and_among_more_p_is_not_too_small() -> None:
    differences = [1.0, 1.0, 1.0, 1.0, -1.0, 2.0, 2.0, 2.0, -2.0, 3.0, 3.0, -3.0, 4.0]
    assert len(differences) == ENUMERABLE
    assert p_of(differences) == pytest.approx(counted(differences))
    more = [*differences, 5.0]
    assert p_of(more) >= counted(more) - 1e-12


def test_pairs_side_by_side_are_each_alone() -> None:
    values = np.random.default_rng(3).normal(0.1, 0.05, (2, 3, 4, 5))
    values[1, 2, 0, 3:] = values[0, 0, 2] = np.nan
    many = pooled_intervals(values)
    for place in np.ndindex(2, 3):
        alone = pooled_intervals(values[place])
        for key, found in many.items():
            assert float(found[place]) == pytest.approx(float(alone[key])), key
    assert interval_at(many, (1, 1)).n == 4 and interval_at(many, (0, 0)).n == 3


def test_a_pair_with_one_task_among_others_is_the_corrected_interval() -> None:
    values = np.full((2, 3, 4), np.nan)
    values[1, 2] = [0.1, 0.3, 0.2, 0.25]
    found, plain = interval_at(pooled_intervals(values), (1,)), corrected_interval([0.1, 0.3, 0.2, 0.25])
    assert (found.mean, found.low, found.high, found.p) == pytest.approx((plain.mean, plain.low, plain.high, plain.p))


RAGGED = [
    [[0.1, 0.14], [0.2], [0.05, 0.09, 0.1], [-0.1, 0.0]],
    [[0.1, 0.2], [0.15, 0.3]],
    [[0.1, 0.1], [0.3, 0.5]],
]
FLAT = [
    [[0.1, 0.1], [0.1, 0.1], [0.1, 0.1]],
    [[0.2, 0.2, 0.2], [0.2, 0.2]],
]


def among_absent(tasks: list[list[float]]) -> Interval:
    """The interval of some tasks, with tasks without values before and behind them."""
    values = np.full((len(tasks) + 2, 4), np.nan)
    for row, known in enumerate(tasks):
        values[row + 1, : len(known)] = known
    return interval_at(pooled_intervals(values), ())


@pytest.mark.parametrize("tasks", RAGGED)
def test_tasks_with_other_numbers_of_splits_and_absent_ones(tasks: list[list[float]]) -> None:
    """Where every task is its own source it is Student's interval of the task means, however many splits made them."""
    found, means = among_absent(tasks), [float(np.mean(task)) for task in tasks]
    theirs = stats.ttest_1samp(means, 0.0)
    interval = theirs.confidence_interval(0.95)
    assert (found.n, found.mean) == (len(tasks), pytest.approx(np.mean(means)))
    assert (found.low, found.high, found.p) == pytest.approx((interval.low, interval.high, theirs.pvalue))


@pytest.mark.parametrize("tasks", FLAT)
def test_tasks_that_agree_have_the_spread_of_rounding_as_the_bootstrap_has(tasks: list[list[float]]) -> None:
    found = among_absent(tasks)
    drawn = hierarchical_bootstrap(tasks, named_generator("ragged"), draws=60_000)
    assert (found.n, found.mean) == (len(tasks), pytest.approx(drawn.mean))
    assert found.high - found.mean == pytest.approx(drawn.half, rel=0.03)
    assert found.mean - found.low == pytest.approx(drawn.half, rel=0.03)
    assert found.p == pytest.approx(drawn.p, rel=0.15, abs=1e-3)
