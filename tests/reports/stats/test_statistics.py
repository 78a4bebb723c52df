import math

import numpy as np
import pytest
from scipy import stats

from foundation.seeding import named_generator
from reports.runs.metric_changes import unpaired_interval
from reports.stats.statistics import (
    Interval,
    corrected_interval,
    hierarchical_bootstrap,
    level_interval,
    rank_interval,
)

VALUES = [0.013, -0.004, 0.021, 0.010, 0.006]


def test_without_correction_it_is_the_one_sample_t_test():
    ours = corrected_interval(VALUES, ratio=0.0)
    theirs = stats.ttest_1samp(VALUES, 0.0)
    low, high = theirs.confidence_interval(0.95)
    assert (ours.mean, ours.low, ours.high, ours.p) == pytest.approx((np.mean(VALUES), low, high, theirs.pvalue))


def test_the_correction_multiplies_the_variance():
    plain, corrected = corrected_interval(VALUES, ratio=0.0), corrected_interval(VALUES, ratio=0.5)
    # 1/5 + 1/2 instead of 1/5
    assert corrected.half / plain.half == pytest.approx(math.sqrt(0.7 / 0.2))
    assert corrected.p > plain.p


def test_hand_worked_case():
    # mean 2, variance 1, J = 3, ratio 1/6: standard error sqrt(1/3 + 1/6) = sqrt(1/2); t(2, .975) = 4.302653
    interval = corrected_interval([1.0, 2.0, 3.0], ratio=1 / 6)
    assert interval.mean == 2.0
    assert interval.half == pytest.approx(4.302653 * math.sqrt(0.5), rel=1e-6)


def test_nan_is_left_out_and_one_value_has_no_interval():
    assert corrected_interval([1.0, math.nan, 3.0]).n == 2
    one = corrected_interval([0.5, math.nan])
    assert (one.mean, one.n) == (0.5, 1)
    assert math.isnan(one.low) and math.isnan(one.p)
    assert math.isnan(corrected_interval([]).mean)


def test_no_spread():
    same = corrected_interval([0.1 + 0.2, 0.3, 0.3])
    # rounded to a step of 0.3 at most: error 0.3 · sqrt((1/3 + 1/2) / 12)
    assert same.half == pytest.approx(4.302653 * 0.3 * math.sqrt((1 / 3 + 0.5) / 12), rel=1e-6)
    assert corrected_interval([0.0, 0.0]) == Interval(0.0, 0.0, 0.0, 1.0, 2, 1)


def test_two_splits_that_agree_are_not_sure():
    found = corrected_interval([0.004, 0.004])
    assert found.p > 0.05 and found.low < 0 < found.high
    assert corrected_interval([0.3, 0.3]).p > 0.05
    assert corrected_interval([0.3, 0.31]).p < 0.05  # a spread that was seen is taken as it is


@pytest.mark.parametrize("shared", [0.0, 1 / 3])
@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("splits", [2, 3, 5])
def test_steps_of_one_row_are_falsely_sure_in_at_most_five_per_cent(splits, noise, shared):
    """No difference, accuracies on 250 rows: the noise of a split is a row or a few; splits may share a third of it."""
    rng = np.random.default_rng(splits)
    common, own = rng.normal(size=(3000, 1)), rng.normal(size=(3000, splits))
    steps = np.round(noise * (math.sqrt(shared) * common + math.sqrt(1 - shared) * own))
    sure = np.mean([corrected_interval(row / 250).p < 0.05 for row in steps])
    assert sure <= 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / 3000)


def test_levels_that_agree_have_no_interval():
    same = level_interval([0.7, 0.7, math.nan])
    assert same.mean == 0.7 and same.n == 2 and math.isnan(same.low) and math.isnan(same.p)
    assert level_interval(VALUES) == corrected_interval(VALUES)


def test_bootstrap_of_one_task_is_the_corrected_interval():
    drawn, known = hierarchical_bootstrap([VALUES], named_generator("test"), draws=40_000), corrected_interval(VALUES)
    assert drawn.mean == known.mean
    assert drawn.half == pytest.approx(known.half, rel=0.02)
    assert drawn.p == pytest.approx(known.p, rel=0.05)


@pytest.mark.parametrize("n", [2, 3, 6, 40])
def test_bootstrap_of_tasks_without_split_noise_is_the_t_interval_over_tasks(n):
    tasks = np.random.default_rng(1).normal(0.3, 1.0, size=n)
    drawn = hierarchical_bootstrap([np.full(3, t) for t in tasks], named_generator("test"), draws=40_000)
    theirs = stats.ttest_1samp(tasks, 0.0)
    assert (drawn.low, drawn.high) == pytest.approx(theirs.confidence_interval(0.95), rel=0.02, abs=0.02)
    assert drawn.p == pytest.approx(theirs.pvalue, rel=0.05)


def test_a_few_tasks_with_the_same_sign_are_no_proof():
    same_sign = [[0.01, 0.012], [0.02, 0.019], [0.05, 0.052]]
    assert hierarchical_bootstrap(same_sign, named_generator("test")).p > 0.05


def test_split_noise_adds_to_the_spread_of_tasks():
    tasks = np.random.default_rng(2).normal(0.0, 1.0, size=30)
    calm, noisy = (
        hierarchical_bootstrap([t + wobble * np.array([-1, 0, 1]) for t in tasks], named_generator("test"), ratio=0.5)
        for wobble in (0.0, 2.0)
    )
    # variance of a task's mean: (1/3 + 1/2) · 4; of the tasks: s²; both over 30
    extra = noisy.half**2 / calm.half**2
    assert extra == pytest.approx(1 + (1 / 3 + 1 / 2) * 4 / tasks.var(ddof=1), rel=0.1)


def test_bootstrap_weighs_tasks_equally_and_leaves_out_empty_ones():
    drawn = hierarchical_bootstrap([[1.0] * 9, [0.0], [math.nan]], named_generator("test"), draws=200)
    assert drawn.mean == 0.5 and drawn.n == 2
    assert math.isnan(hierarchical_bootstrap([[1.0]], named_generator("test")).p)
    assert math.isnan(hierarchical_bootstrap([], named_generator("test")).mean)


def test_bootstrap_without_spread():
    assert hierarchical_bootstrap([[0.0, 0.0], [0.0, 0.0]], named_generator("test"), draws=99).p == 1
    assert hierarchical_bootstrap([[0.5, 0.5], [0.5, 0.5]], named_generator("test"), draws=99).p > 0.05


def test_bootstrap_is_reproducible_and_streams_are_named():
    one, two = (hierarchical_bootstrap([VALUES, VALUES], named_generator("a"), draws=200) for _ in range(2))
    assert one == two
    assert one != hierarchical_bootstrap([VALUES, VALUES], named_generator("b"), draws=200)


def test_rank_interval():
    base = np.array([0.80, 0.82, 0.78, 0.81, 0.79])
    noise = np.array([1, -1, 2, -2, 0]) * 1e-3
    others = [base - 0.2 + noise, base + noise, base + 0.1 + noise]
    assert rank_interval(base, others, larger_is_better=True) == (2, 3)
    assert rank_interval(base, others, larger_is_better=False) == (2, 3)
    assert rank_interval(base, [base - 0.2 + noise], larger_is_better=True) == (1, 1)
    assert rank_interval(base[:1], [base[:1] + 1], larger_is_better=True) == (1, 2)


def test_tasks_that_agree_have_the_spread_of_rounding():
    four = hierarchical_bootstrap([[0.004, 0.004]] * 4, named_generator("test"), draws=99)
    # error 0.004 · sqrt((1/2 + 1/2) / 12 / 4), three degrees of freedom
    assert four.half == pytest.approx(3.182446 * 0.004 * math.sqrt(1 / 48), rel=1e-5)


@pytest.mark.parametrize("first", [[0.70, 0.70], [0.70, 0.70, 0.70]])
def test_two_runs_on_other_splits_without_spread_are_not_sure(first):
    found = unpaired_interval(np.array(first), np.array([0.704, 0.704]))
    assert found.p > 0.05 and found.low < 0 < found.high
    assert unpaired_interval(np.array(first), np.array([0.7, 0.7])).p == 1


def test_a_difference_that_noise_may_explain_rules_out_no_rank():
    base = np.array([0.80, 0.82, 0.78, 0.81, 0.79])
    unsure = base + 0.001 + np.array([3, -3, 6, -6, 0]) * 1e-3
    for larger in (True, False):
        assert rank_interval(base, [unsure], larger_is_better=larger) == (1, 2)
        assert rank_interval(base, [base + 0.1, base - 0.1], larger_is_better=larger) == (2, 2)
    assert rank_interval(base, [base + 0.1], larger_is_better=True) == (2, 2)
    assert rank_interval(base, [base + 0.1], larger_is_better=False) == (1, 1)
