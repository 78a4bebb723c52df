import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.names import METHOD_NAMES, method_name
from reports.stats.critical_difference import bars_sentence, diagram, friedman, rank_tests, sentence, wilcoxon
from reports.stats.ranking import rank_methods, ranks
from reports.stats.resampling import resampling
from reports.stats.statistics import generator, holm
from reports.stats.winners import Method


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
    assert wilcoxon(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)


def test_signed_rank_test_with_ties_counts_all_signs():
    # ranks 1.5, 1.5, 3, 4 of |1|, |1|, |2|, |3|: the sum of the negative ones is 1.5; of 16 sign patterns the sums
    # 0 (once) and 1.5 (twice) are as small: p = 2 · 3/16; the zero is left out
    assert wilcoxon(np.array([1.0, -1.0, 2.0, 3.0, 0.0])) == pytest.approx(6 / 16)
    assert wilcoxon(np.zeros(4)) == 1.0


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
    p = holm([wilcoxon(ordered[:, a] - ordered[:, b]) for a, b in ((0, 1), (0, 2), (1, 2))])
    assert [bool(found.tied[0, 1]), bool(found.tied[0, 2]), bool(found.tied[1, 2])] == [v >= 0.05 for v in p]


def test_without_power_it_says_so_and_joins_all():
    few = rank_tests("utility@1", np.tile([1.0, 2.0, 3.0], (5, 1)))
    assert not few.powerful and few.tied.all()
    assert "fewer than 6 tasks" in bars_sentence(few)
    # six agreeing tasks: p = 2/64, times 3 pairs
    six = rank_tests("utility@1", np.tile([1.0, 2.0, 3.0], (6, 1)))
    assert six.smallest == pytest.approx(6 / 64) and "0.09" in bars_sentence(six)
    assert "p = 0.002" in sentence(six)
    assert "not possible" in sentence(rank_tests("utility@1", np.ones((1, 3))))


def board(count, tasks, spread=0.02):
    ids = list(METHOD_NAMES)[:count]
    own = [Method(m, i, method_name(m), "baseline", "linear") for i, m in enumerate(ids, start=1)]
    values = np.random.default_rng(3).normal(0, spread, (tasks * 2, count)) - np.arange(count) * 0.01
    names = [(f"t{t}", s) for t in range(tasks) for s in range(2)]

    def draw(sizes):
        return resampling(sizes, generator("cd", *map(str, sizes)))

    return rank_methods("utility@1", own, values, [{}] * count, names, draw)


def test_diagram_has_a_line_per_method_and_words():
    ranking = board(8, 14, spread=0.001)
    tests = rank_tests("utility@1", ranking.task_values)
    picture = str(diagram(ranking, tests))
    assert picture.count('class="row"') == 8
    assert 'role="img"' in picture and "Mixture 1.0" in re.search('aria-label="([^"]*)"', picture).group(1)


def test_many_methods_fold_but_named_ones_stay():
    ranking = board(41, 4)
    picture = str(diagram(ranking, rank_tests("utility@1", ranking.task_values)))
    lines = picture.count('class="row"')
    assert 20 <= lines <= 26
    assert f"{41 - lines} methods are in the table only" in picture
    width = float(re.search(r'viewBox="0 0 ([\d.]+) ', picture).group(1))
    assert width <= 460  # a phone shows it without shrinking letters below eight pixels


def test_bars_join_what_ties():
    ranking = board(3, 12, spread=0.0001)
    tests = rank_tests("utility@1", ranking.task_values)
    assert tests.groups == ((0, 0), (1, 1), (2, 2)) and "stroke-linecap" not in str(diagram(ranking, tests))
    noisy = board(3, 12, spread=5.0)
    tests = rank_tests("utility@1", noisy.task_values)
    assert tests.groups == ((0, 2),) and str(diagram(noisy, tests)).count("stroke-linecap") == 1
