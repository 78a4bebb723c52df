import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metrics.holm import holm
from reports.stats.rank_tests import friedman, rank_tests, wilcoxon
from reports.stats.ranking import ranks


def p_of(differences):
    (p,) = wilcoxon(np.asarray(differences, dtype=float)[:, None])
    return p


@pytest.mark.parametrize("ties", [False, True])
def test_friedman_is_that_of_scipy(ties):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, (9, 5)).astype(float) if ties else rng.normal(0, 1, (9, 5))
    theirs = stats.friedmanchisquare(*values.T)
    assert friedman(ranks(values, larger=False)) == pytest.approx((theirs.statistic, theirs.pvalue))


def test_friedman_without_any_difference():
    assert friedman(np.full((5, 3), 2.0)) == (0.0, 1.0)


@given(st.integers(2, 20), st.integers(0, 2**20))
@settings(max_examples=40, deadline=None)
def test_signed_rank_test_is_the_exact_one_of_scipy(n, seed):
    differences = np.random.default_rng(seed).normal(0.3, 1, n)
    assert p_of(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)


def test_signed_rank_test_with_ties_counts_all_signs():
    # ranks 1.5, 1.5, 3, 4 of |1|, |1|, |2|, |3|: the sum of the negative ones is 1.5; of 16 sign patterns the sums
    # 0 (once) and 1.5 (twice) are as small: p = 2 · 3/16; the zero is left out
    assert p_of([1.0, -1.0, 2.0, 3.0, 0.0]) == pytest.approx(6 / 16)
    assert p_of(np.zeros(4)) == 1.0


@given(st.lists(st.integers(-4, 5), min_size=3, max_size=11))
@settings(max_examples=30, deadline=None)
def test_ties_count_every_pattern_of_signs(differences):
    values = np.array([d for d in differences if d], dtype=float)
    size = stats.rankdata(np.abs(values))
    signs = np.array(list(itertools.product((-1, 1), repeat=len(values))))
    low = min(size[values > 0].sum(), size[values < 0].sum())
    expected = min(1.0, 2 * float(((signs > 0) @ size <= low + 1e-9).mean()))
    assert p_of(differences) == pytest.approx(expected)


def test_values_that_differ_by_rounding_tie():
    assert p_of([0.1 + 0.2, -0.3, 2.0, 3.0, 1e-16]) == pytest.approx(6 / 16)


@pytest.mark.slow  # the import alone takes seconds
def test_bars_are_those_of_scikit_posthocs():
    posthocs = pytest.importorskip("scikit_posthocs")
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, (14, 4)) + np.array([0.0, 0.2, 2.5, 5.0])
    found = rank_tests("utility@1", values)
    assert found.powerful
    theirs = posthocs.posthoc_wilcoxon(list(values[:, found.order].T), p_adjust="holm").to_numpy()
    off = ~np.eye(4, dtype=bool)
    assert (found.tied[off] == (theirs[off] >= 0.05)).all()
    assert found.order[:2] == (3, 2)  # utility: larger is better


def test_holm_runs_over_all_pairs():
    values = np.random.default_rng(2).normal(0, 1, (12, 3)) + np.array([0.0, 1.0, 3.0])
    found = rank_tests("utility@1", values)
    ordered = values[:, found.order]
    p = holm([p_of(ordered[:, a] - ordered[:, b]) for a, b in ((0, 1), (0, 2), (1, 2))])
    assert [bool(found.tied[0, 1]), bool(found.tied[0, 2]), bool(found.tied[1, 2])] == [v >= 0.05 for v in p]


def test_without_power_it_says_so_and_joins_all():
    few = rank_tests("utility@1", np.tile([1.0, 2.0, 3.0], (5, 1)))
    assert not few.powerful and few.tied.all()
    # six agreeing tasks: p = 2/64, times 3 pairs
    six = rank_tests("utility@1", np.tile([1.0, 2.0, 3.0], (6, 1)))
    assert six.smallest == pytest.approx(6 / 64)
    assert np.isnan(rank_tests("utility@1", np.ones((1, 3))).p)


def test_six_tasks_separate_two_methods_and_five_never_do():
    six, five = (rank_tests("utility@1", np.tile([1.0, 2.0], (tasks, 1))) for tasks in (6, 5))
    assert six.powerful and six.smallest == pytest.approx(2 / 64) and not six.tied[0, 1]
    assert not five.powerful and five.tied.all()
    assert not rank_tests("utility@1", np.tile([1.0, 2.0, 3.0], (6, 1))).powerful


def test_friedman_needs_two_tasks_and_three_methods():
    assert friedman(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]))[0] == pytest.approx(4.0)  # 12/(2·3·4)·(4+16+36) − 24
    assert np.isnan(friedman(np.array([[1.0, 2.0, 3.0]]))[0]) and np.isnan(friedman(np.array([[1.0, 2.0]] * 5))[0])


def test_tasks_that_disagree_tie_two_methods():
    found = rank_tests("utility@1", np.array([[1.0, 2.0], [2.0, 1.0]] * 3))
    assert found.powerful and found.tied[0, 1] and found.groups == ((0, 1),)
