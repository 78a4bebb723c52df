"""Bounds where resampling sees no spread: published values, the whole score, and how often they hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metrics.count_metrics import acc, dp, dp_ratio, eodds, eopp, f1, fair_res, worst_tpr
from metrics.counts.exact import Proportion, difference_ends, gap_ends, quotient_ends, ratio_ends, smallest_ends
from metrics.evidence import Evidence
from metrics.proportions import unseen_share, wilson
from metrics.score import score


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
    ],
)
def test_differences_are_those_that_newcombe_published(first, second, low, high) -> None:
    """Newcombe 1998, table II, method 10."""
    assert difference_ends(Proportion(*first), Proportion(*second)) == pytest.approx((low, high), abs=5e-5)


def test_a_ratio_to_certainty_is_the_rate_itself() -> None:
    many = Proportion(10**9, 10**9)
    assert ratio_ends(Proportion(6, 20), many) == pytest.approx(wilson(6, 20), rel=1e-6)
    assert ratio_ends(Proportion(0, 20), many)[0] == 0
    assert quotient_ends([Proportion(0, 20), Proportion(0, 30)]) == (0, 1), "nothing is known of 0 over 0"


def test_groups_that_hit_all_may_differ() -> None:
    groups = [Proportion(14, 14), Proportion(26, 26)]
    low, high = gap_ends(groups)
    assert low == 0 and high == pytest.approx(1 - wilson(14, 14)[0])
    assert smallest_ends(groups) == (pytest.approx(1 - unseen_share(14)), 1)
    assert quotient_ends(groups)[1] == 1 and quotient_ends(groups)[0] == pytest.approx(wilson(14, 14)[0], abs=1e-9)


def test_what_resampling_sees_is_left_to_it() -> None:
    seen = torch.tensor([[[20.0, 10], [10, 20]], [[15.0, 15], [12, 18]]])
    for metric in (acc, dp, dp_ratio, eodds, eopp, f1, fair_res, worst_tpr):
        assert metric.METRIC.statistic.exact(seen, 10) is None


def test_a_small_group_is_left_out_of_the_bounds_too() -> None:
    table = torch.tensor([[[20.0, 10], [10, 20]], [[15.0, 15], [12, 18]], [[4.0, 0], [0, 5]]])
    assert eopp.METRIC.statistic.exact(table, 10) is None
    assert eopp.METRIC.statistic.exact(table, 1) is not None


def test_parts_are_put_together_as_the_metric_is() -> None:
    table = torch.tensor([[[20.0, 10], [0, 20]], [[15.0, 15], [0, 30]]])
    eopp_high, dp_high = eopp.METRIC.statistic.exact(table)[1], gap_ends([Proportion(30, 50), Proportion(45, 60)])[1]
    assert fair_res.METRIC.statistic.exact(table)[1] == pytest.approx((eopp_high + dp_high) / 2)


def perfect(labels: torch.Tensor) -> Evidence:
    return Evidence(torch.where(labels == 1, 0.9, 0.1))


def test_perfect_predictions_on_75_rows_do_not_have_intervals_of_length_zero() -> None:
    labels, groups = torch.arange(75) % 2, torch.arange(75) // 38
    values = score(perfect(labels), labels, groups, ["a", "b"], seed=0).values
    assert (values["acc@1"].low, values["acc@1"].high) == (pytest.approx(1 - unseen_share(75)), 1.0)
    assert (values["auc@1"].low, values["auc@1"].high) == (pytest.approx(1 - unseen_share(37)), 1.0)
    for id in ("eopp@1", "eodds@1", "acc_gap@1"):
        assert (values[id].estimate, values[id].low) == (0.0, 0.0) and 0.05 < values[id].high < 0.2, id
    for id in ("worst_acc@1", "worst_tpr@1", "eopp_ratio@1", "f1@1", "utility@1"):
        assert (values[id].estimate, values[id].high) == (1.0, 1.0) and 0.75 < values[id].low < 0.99, id
    assert values["utility@1"].low >= values["f1@1"].low


def test_certain_and_right_probabilities_are_not_calibrated_for_sure() -> None:
    labels, groups = torch.arange(60) % 2, torch.arange(60) // 30
    values = score(Evidence(labels.double()), labels, groups, ["a", "b"], seed=0).values
    assert values["brier@1"].high == values["ece@1"].high == pytest.approx(unseen_share(60))
    assert values["cal_gap@1"].high == pytest.approx(unseen_share(30) * 2**0.5)


def test_a_constant_prediction_has_no_gap_by_what_it_is() -> None:
    labels, groups = torch.arange(60) % 2, torch.arange(60) // 30
    value = score(Evidence(torch.full((60,), 0.2)), labels, groups, ["a", "b"], seed=0).values["dp@1"]
    assert (value.status, value.low, value.high) == ("degenerate", 0.0, 0.0)


def test_the_interval_of_rare_misses_holds_the_truth() -> None:
    """True rates 0.97 and 0.90 of 14 and 26 positives: the gap 0.07 is inside in 95 % and more."""
    rng = np.random.default_rng(0)
    hits = rng.binomial([14, 26], [0.97, 0.90], size=(2000, 2))
    blind = [row for row in hits.tolist() if row[0] == 14 or row[1] == 26]
    ends = [gap_ends([Proportion(a, 14), Proportion(b, 26)]) for a, b in blind]
    assert len(blind) > 1000
    assert np.mean([low <= 0.07 <= high for low, high in ends]) >= 0.95
