"""Statistics of rates and how far draws lie from what was observed, by hand."""

from __future__ import annotations

import pytest
import torch

from metrics.counts.group_rates import rates_of_counts
from metrics.counts.rates import FALSE_POSITIVE_RATE, SELECTION_RATE, TRUE_POSITIVE_RATE
from metrics.counts.statistics import Draws, Gap, MeanGap, Overall, Ratio, Statistic, Worst


def table(*groups: tuple[int, int, int, int]) -> torch.Tensor:
    """[g, 2, 2] counts of groups given as true negatives, false positives, false negatives, true positives."""
    return torch.tensor(groups, dtype=torch.float64).view(-1, 2, 2)


# selection 2/20 and 10/20; tpr 1/10 and 8/10; fpr 1/10 and 2/10
OBSERVED = table((9, 1, 9, 1), (8, 2, 2, 8))
# selection 5/20 and 8/20; tpr 5/10 and 5/10; fpr 0/10 and 3/10
DRAWN = table((10, 0, 5, 5), (7, 3, 5, 5))
BOTH = (TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE)


def value(statistic: Statistic, counts: torch.Tensor = OBSERVED) -> float:
    return float(statistic.value(rates_of_counts(counts)))


def deviation(statistic: Statistic) -> float:
    found = statistic.deviation(Draws(rates_of_counts(DRAWN[None]), rates_of_counts(OBSERVED), OBSERVED))
    assert found is not None and found.shape == (1,)
    return float(found)


def test_values() -> None:
    assert value(Gap(SELECTION_RATE)) == pytest.approx(0.4)
    assert value(Gap(*BOTH)) == value(Gap(*reversed(BOTH))) == pytest.approx(0.7)
    assert value(MeanGap(*BOTH)) == pytest.approx((0.7 + 0.1) / 2)
    assert value(Ratio(SELECTION_RATE)) == pytest.approx(0.2)
    assert value(Ratio(*BOTH)) == value(Ratio(*reversed(BOTH))) == pytest.approx(1 / 8)
    assert value(Worst(SELECTION_RATE, TRUE_POSITIVE_RATE)) == pytest.approx(0.1)
    assert value(Worst(TRUE_POSITIVE_RATE), DRAWN) == pytest.approx(0.5)
    assert value(Overall(SELECTION_RATE)) == pytest.approx(12 / 40)


def test_a_gap_moves_by_the_gap_of_the_changes() -> None:
    # selection changes by +0.15 and -0.1; tpr by +0.4 and -0.3; fpr by -0.1 and +0.1
    assert deviation(Gap(SELECTION_RATE)) == pytest.approx(0.25)
    assert deviation(Gap(*BOTH)) == pytest.approx(0.7)
    assert deviation(MeanGap(*BOTH)) == pytest.approx((0.7 + 0.2) / 2)


def test_a_minimum_moves_by_at_most_the_largest_change() -> None:
    assert deviation(Worst(SELECTION_RATE)) == pytest.approx(0.15)
    assert deviation(Worst(*BOTH)) == pytest.approx(0.4)


def test_a_ratio_is_stretched_by_the_gap_of_the_log_rates() -> None:
    # selection: 5/20 over 2/20 and 8/20 over 10/20: factors 2.5 and 0.8
    assert deviation(Ratio(SELECTION_RATE)) == pytest.approx(0.2 * (2.5 / 0.8 - 1))
    # fpr: 0/10 counts as half a row, 0.05 over 0.1; 0.3 over 0.2: factors 0.5 and 1.5
    assert deviation(Ratio(FALSE_POSITIVE_RATE)) == pytest.approx(0.5 * (1.5 / 0.5 - 1))
    # the smallest ratio, 1/8, and the largest stretch: tpr 5 and 5/8
    assert deviation(Ratio(*BOTH)) == pytest.approx((5 / (5 / 8) - 1) / 8)


def test_a_group_without_a_rate_does_not_move_a_minimum() -> None:
    observed, drawn = (torch.cat((counts, table((4, 4, 0, 0)))) for counts in (OBSERVED, DRAWN))
    draws = Draws(rates_of_counts(drawn[None]), rates_of_counts(observed), observed)
    assert float(Worst(TRUE_POSITIVE_RATE).deviation(draws)) == pytest.approx(0.4)
    assert Overall(SELECTION_RATE).deviation(draws) is None


def test_half_a_row_of_a_single_row_is_one_half() -> None:
    observed, drawn = table((0, 0, 0, 1), (8, 2, 2, 8)), table((0, 0, 1, 0), (7, 3, 4, 6))
    draws = Draws(rates_of_counts(drawn[None], least=1), rates_of_counts(observed, least=1), observed)
    # tpr 1 and 0.8; drawn 0 (as 0.5) and 0.6: factors 0.5 and 0.75
    assert float(Ratio(TRUE_POSITIVE_RATE).deviation(draws)) == pytest.approx(0.8 * (0.75 / 0.5 - 1))
