import math

import numpy as np
import pytest
from scipy import stats

from reports.stats.pooled_intervals import pooled_interval, pooled_intervals
from reports.stats.statistics import corrected_interval


def test_tasks_of_different_sources_have_the_t_interval_of_their_means():
    rng = np.random.default_rng(0)
    tasks = np.stack([rng.normal(0.02 * t, 0.01, size=5) for t in range(6)])
    found, theirs = pooled_interval(list(tasks)), stats.ttest_1samp(tasks.mean(axis=1), 0.0)
    assert (found.n, found.freedom) == (6, 5) and found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval()))


def cr2(values, sources):
    """Variance and degrees of freedom of Bell & McCaffrey (2002) for a mean, by their matrices."""
    t = len(values)
    x, residual = np.ones((t, 1)), values - values.mean()
    hat = x @ np.linalg.inv(x.T @ x) @ x.T
    columns = []
    for source in dict.fromkeys(sources):
        rows = [i for i, own in enumerate(sources) if own == source]
        values_, vectors = np.linalg.eigh(np.eye(len(rows)) - hat[np.ix_(rows, rows)])
        root = vectors @ np.diag(values_**-0.5) @ vectors.T
        columns.append((np.eye(t) - hat)[:, rows] @ root @ x[rows] / t)
    g = np.hstack(columns)
    eigen = np.linalg.eigvalsh(g.T @ g)
    scores = [(np.linalg.inv(x.T @ x) * 1.0).item() * (g[:, [k]].T @ residual).item() * t for k in range(g.shape[1])]
    return float(np.sum(np.square(scores))), float(eigen.sum() ** 2 / (eigen**2).sum())


@pytest.mark.parametrize("sources", [(0, 1, 2, 3), (0, 0, 1, 1, 2, 2), (0, 0, 0, 0, 1, 2, 3, 4), (0, 1, 1, 1, 2, 2)])
def test_the_error_is_that_of_bell_and_mccaffrey(sources):
    values = np.random.default_rng(len(sources)).normal(0, 1, len(sources))
    found = pooled_interval([values[[t]] for t in range(len(sources))], sources)
    variance, freedom = cr2(values, sources)
    assert found.mean == pytest.approx(values.mean()) and found.freedom == pytest.approx(freedom)
    assert found.half == pytest.approx(stats.t.ppf(0.975, freedom) * variance**0.5)


def test_a_source_three_times_is_worth_no_more_than_once():
    once = pooled_interval([np.array([v]) for v in (0.2, 0.1, 0.4)])
    thrice = pooled_interval([np.array([v]) for v in (0.2, 0.1, 0.4) for _ in range(3)], (0, 0, 0, 1, 1, 1, 2, 2, 2))
    assert (thrice.mean, thrice.low, thrice.p) == pytest.approx((once.mean, once.low, once.p))
    naive = pooled_interval([np.array([v]) for v in (0.2, 0.1, 0.4) for _ in range(3)])
    assert naive.half < 0.5 * thrice.half


def test_tasks_of_one_source_alone_have_the_interval_of_their_splits():
    rows = [np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.4, 0.0])]
    found, single = pooled_interval(rows, (0, 0)), [corrected_interval(row) for row in rows]
    assert found.freedom == 2 and found.mean == pytest.approx(0.2)
    assert found.half**2 == pytest.approx(np.mean([one.half**2 for one in single]))


def coverage(sizes, runs, between, within):
    """Share of intervals that hold the true mean 0, and of tests that find it unequal: tasks in sources, 3 splits."""
    rng = np.random.default_rng([len(sizes), runs])
    sources = np.repeat(np.arange(len(sizes)), sizes)
    values = between * rng.normal(size=(runs, len(sizes)))[:, sources, None]
    values = values + within * rng.normal(size=(runs, len(sources), 1)) + 0.5 * rng.normal(size=(runs, len(sources), 3))
    found = pooled_intervals(values, sources.tolist())
    return float(((found["low"] <= 0) & (found["high"] >= 0)).mean())


@pytest.mark.parametrize(
    ("sizes", "runs"),
    [((1,) * 6, 4000), ((4, 2, 2, 2, 1, 1, 1, 1), 4000), ((1, 1), 4000), ((5, 1, 1, 1, 1, 1, 1, 1, 1), 4000)],
)
@pytest.mark.parametrize("between", [0.0, 1.0])
def test_intervals_hold_the_truth_as_often_as_they_say(sizes, runs, between):
    assert 0.93 <= coverage(sizes, runs, between, 0.5) <= 0.975


def test_one_task_is_the_corrected_interval_and_absent_values_are_left_out():
    values = np.array([[0.1, 0.2, 0.15, np.nan], [np.nan] * 4])
    closed, plain = pooled_intervals(values), corrected_interval([0.1, 0.2, 0.15])
    for key in ("mean", "low", "high", "p"):
        assert float(closed[key]) == pytest.approx(getattr(plain, key))
    nothing = pooled_intervals(np.full((2, 3), np.nan))
    assert math.isnan(float(nothing["mean"])) and math.isnan(float(nothing["p"])) and int(nothing["n"]) == 0
    single = pooled_intervals(np.array([[0.3, np.nan]]))
    assert float(single["mean"]) == 0.3 and math.isnan(float(single["low"])) and math.isnan(float(single["p"]))
    same = pooled_intervals(np.array([[0.1, 0.1], [0.1, 0.1]]))
    assert float(same["mean"]) == pytest.approx(0.1)
    half = 12.706205 * 0.1 * math.sqrt((1 / 2 + 0.5) / 12 / 2)  # the spread of rounding
    assert float(same["high"] - same["mean"]) == pytest.approx(half)
    nil = pooled_intervals(np.zeros((2, 2)))
    assert (float(nil["low"]), float(nil["high"]), float(nil["p"])) == (0.0, 0.0, 1.0)
    assert float(pooled_intervals(np.zeros((2, 2)))["p"]) == 1
