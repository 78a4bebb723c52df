import math

import numpy as np
import pytest

from reports.stats.null import null_of_mean

SPLITS, ROWS, TEST = 5, 8000, 2000


def gaps(predictions, groups, parts):
    """Selection rate gaps on the test rows of every split, as the metric has them."""
    return np.array([abs(np.subtract(*(predictions[p][groups[p] == g].mean() for g in (0, 1)))) for p in parts])


def nulls(predictions, groups, parts, rng, shuffles=200):
    """95th percentile, mean, sd of each split's own null, averaged over splits: what the table holds."""
    drawn = np.array([[gaps(predictions, rng.permutation(groups[p]), [np.arange(TEST)])[0] for _ in range(shuffles)]
                      for p, predictions in ((p, predictions[p]) for p in parts)])  # fmt: skip
    return [float(v.mean()) for v in (np.quantile(drawn, 0.95, axis=1), drawn.mean(1), drawn.std(1))]


def drawn_data(rng, gap):
    groups = (np.arange(ROWS) % 2).astype(np.int64)
    predictions = (rng.random(ROWS) < 0.25 + gap * (groups - 0.5)).astype(float)
    return predictions, groups, [rng.permutation(ROWS)[:TEST] for _ in range(SPLITS)]


def test_it_is_the_null_of_groups_that_are_shuffled_once_for_all_splits():
    rng = np.random.default_rng(0)
    predictions, groups, parts = drawn_data(rng, 0.0)
    direct = [gaps(predictions, rng.permutation(groups), parts).mean() for _ in range(1500)]
    p95, mean, sd = nulls(predictions, groups, parts, rng, 400)
    assert null_of_mean(p95, mean, sd, SPLITS) == pytest.approx(np.quantile(direct, 0.95), rel=0.06)
    assert p95 > 1.35 * np.quantile(direct, 0.95)  # one split's percentile is no null of the mean


def test_a_true_gap_is_told_from_chance():
    """A gap of 0.035 on 2,000 test rows: one split's percentile hides it in most data sets, the right null in few."""
    rng = np.random.default_rng(1)
    hidden = {"one split": 0, "mean": 0}
    p95, mean, sd = nulls(*drawn_data(rng, 0.035), rng, 400)
    for _ in range(300):
        found = gaps(*drawn_data(rng, 0.035)).mean()
        hidden["one split"] += found <= p95
        hidden["mean"] += found <= null_of_mean(p95, mean, sd, SPLITS)
    assert hidden["one split"] > 0.5 * 300
    assert hidden["mean"] < 0.3 * 300


def test_no_gap_is_called_one_in_at_most_five_per_cent():
    rng = np.random.default_rng(2)
    p95, mean, sd = nulls(*drawn_data(rng, 0.0), rng, 400)
    found = [gaps(*drawn_data(rng, 0.0)).mean() > null_of_mean(p95, mean, sd, SPLITS) for _ in range(600)]
    assert np.mean(found) <= 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / 600)


def test_one_split_and_tables_without_moments_keep_the_percentile():
    assert null_of_mean(0.04, 0.016, 0.012, 1) == 0.04
    assert null_of_mean(0.04, math.nan, math.nan, 5) == 0.04
    assert math.isnan(null_of_mean(math.nan, math.nan, math.nan, 5))
    assert null_of_mean(0.0, 0.0, 0.0, 5) == 0.0
