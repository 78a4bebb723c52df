"""Exact bounds of statistics that compare several rates, put together from those of each rate."""

from __future__ import annotations

import pytest
import torch

from metrics.counts.group_rates import rates_of_counts
from metrics.counts.rates import FALSE_POSITIVE_RATE, SELECTION_RATE, TRUE_POSITIVE_RATE
from metrics.counts.statistics import Gap, MeanGap, Ratio, Statistic, Worst

BOTH = (TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE)
TABLE = torch.tensor(
    [  # by group: [negatives predicted 0, 1], [positives predicted 0, 1]
        [[10.0, 10.0], [0.0, 20.0]],
        [[20.0, 0.0], [1.0, 19.0]],
    ],
    dtype=torch.float64,
)


def ends(statistic: Statistic) -> tuple[float, float]:
    found = statistic.exact(TABLE)
    assert found is not None
    return found


def test_the_rate_that_differs_most_bounds_the_gap() -> None:
    few, many = ends(Gap(TRUE_POSITIVE_RATE)), ends(Gap(FALSE_POSITIVE_RATE))
    assert many[0] > few[0] and many[1] > few[1]
    assert ends(Gap(*BOTH)) == many == ends(Gap(*reversed(BOTH)))


def test_a_mean_gap_has_the_means_of_the_ends() -> None:
    each = [ends(Gap(rate)) for rate in BOTH]
    assert ends(MeanGap(*BOTH)) == pytest.approx(tuple(sum(side) / 2 for side in zip(*each, strict=True)))


@pytest.mark.parametrize("kind", [Ratio, Worst])
def test_the_smallest_rate_bounds_a_minimum(kind: type[Statistic]) -> None:
    high, low = ends(kind(TRUE_POSITIVE_RATE)), ends(kind(FALSE_POSITIVE_RATE))
    assert low[0] < high[0] and low[1] < high[1]
    assert ends(kind(*BOTH)) == low == ends(kind(*reversed(BOTH)))


@pytest.mark.parametrize("kind", [Gap, MeanGap, Ratio, Worst])
def test_a_single_row_is_a_trial_unless_more_are_asked_for(kind: type[Statistic]) -> None:
    alone = TABLE.clone()
    alone[1] = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    statistic = kind(SELECTION_RATE)
    assert statistic.exact(alone) is not None and statistic.exact(alone) == statistic.exact(alone, 1)
    assert statistic.exact(alone, 2) is None  # one group is left: nothing to compare


@pytest.mark.parametrize("kind", [Gap, MeanGap, Ratio, Worst])
def test_a_value_lies_within_its_bounds(kind: type[Statistic]) -> None:
    statistic = kind(*BOTH)
    low, high = ends(statistic)
    assert 0 <= low <= float(statistic.value(rates_of_counts(TABLE, None))) <= high <= 1
