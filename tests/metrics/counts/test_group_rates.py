"""Rates of groups: computed once, nan for a group that has none, the same whether they come one by one or stacked."""

from __future__ import annotations

import math

import pytest
import torch

from metrics.counts.group_rates import GroupRates, StackedRates, rates_of_counts
from metrics.counts.rates import ACCURACY, F1, SELECTION_RATE, TRUE_POSITIVE_RATE, Rate, gap, ratio, smallest

NAN = math.nan
# group 0: labels 0 0 1 1, predictions 0 1 1 1; group 1: one row with label 0, predicted 1; group 2: no row
TABLE = torch.tensor([[[1, 1], [0, 2]], [[0, 1], [0, 0]], [[0, 0], [0, 0]]], dtype=torch.float64)


def numbers(values: torch.Tensor) -> object:
    return pytest.approx(values.tolist(), nan_ok=True)


def test_rates_of_a_table_by_hand() -> None:
    rates = rates_of_counts(TABLE, least=1)
    assert numbers(rates[SELECTION_RATE]) == [0.75, 1, NAN]
    assert numbers(rates[TRUE_POSITIVE_RATE]) == [1, NAN, NAN]
    assert numbers(rates[ACCURACY]) == [0.75, 0, NAN]
    assert numbers(rates[F1]) == [2 * 2 / (2 * 2 + 1), NAN, NAN]
    assert float(rates.summary(gap, SELECTION_RATE)) == 0.25
    assert math.isnan(float(rates.summary(gap, TRUE_POSITIVE_RATE))), "one group has it"
    assert (float(rates.overall(SELECTION_RATE)), float(rates.overall(ACCURACY))) == (4 / 5, 3 / 5)
    one = rates_of_counts(TABLE[1:], least=1)
    assert float(one.overall(SELECTION_RATE)) == 1 and math.isnan(float(one.overall(TRUE_POSITIVE_RATE)))


def test_the_rows_that_a_rate_speaks_of_decide_whether_a_group_has_it() -> None:
    assert numbers(rates_of_counts(TABLE, least=4)[SELECTION_RATE]) == [0.75, NAN, NAN]
    assert numbers(rates_of_counts(TABLE, least=5)[SELECTION_RATE]) == [NAN] * 3
    assert numbers(rates_of_counts(TABLE, least=2)[TRUE_POSITIVE_RATE]) == [1, NAN, NAN]
    assert numbers(rates_of_counts(TABLE, least=3)[TRUE_POSITIVE_RATE]) == [NAN] * 3
    sizes = torch.tensor([[2.0, 2.0], [9.0, 9.0], [9.0, 9.0]], dtype=torch.float64)
    assert numbers(rates_of_counts(TABLE, sizes, least=5)[SELECTION_RATE]) == [NAN, 1, NAN], (
        "sizes of the data, not the draw"
    )


def test_what_is_missing_counts_as_told() -> None:
    found = GroupRates(lambda _: torch.tensor([0.5, NAN]), lambda _: torch.tensor(NAN), missing=0.0)
    assert float(found.summary(gap, ACCURACY)) == 0 and float(found.overall(ACCURACY)) == 0
    assert math.isnan(float(GroupRates(lambda _: torch.tensor([0.5, NAN])).summary(gap, ACCURACY)))
    with pytest.raises(TypeError, match="tpr of all rows together cannot be had"):
        GroupRates(lambda _: torch.tensor([0.5])).overall(TRUE_POSITIVE_RATE)


def test_each_rate_and_each_summary_is_computed_once() -> None:
    rates: list[Rate] = []
    summaries: list[int] = []

    def find(rate: Rate) -> torch.Tensor:
        rates.append(rate)
        return torch.tensor([0.2, 0.8])

    def summarise(values: torch.Tensor) -> torch.Tensor:
        summaries.append(1)
        return gap(values)

    found = GroupRates(find)
    for _ in range(3):
        assert float(found.summary(summarise, ACCURACY)) == pytest.approx(0.6)
        assert float(found.summary(smallest, ACCURACY)) == pytest.approx(0.2)
    assert (len(rates), len(summaries)) == (1, 1)


def test_stacked_rates_are_the_same_as_single_ones() -> None:
    order = (SELECTION_RATE, TRUE_POSITIVE_RATE, ACCURACY)
    values = torch.rand(5, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values[2, 1, 3] = NAN
    values[4, 1, :3] = NAN
    calls: list[int] = []

    def counted(rates: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return ratio(rates)

    for missing in (NAN, 0.0):
        stacked = StackedRates(order, values, missing)
        single = GroupRates(lambda rate: values[:, order.index(rate)], missing=missing)
        for rate in order:
            assert torch.equal(stacked[rate].nan_to_num(-1), values[:, order.index(rate)].nan_to_num(-1))
            for summarise in (gap, smallest, ratio):
                torch.testing.assert_close(
                    stacked.summary(summarise, rate), single.summary(summarise, rate), equal_nan=True
                )
            stacked.summary(counted, rate)
    assert len(calls) == 2, "all rates at once, once for each of the two"


def test_stacked_rates_of_a_single_vector_and_of_lanes_of_draws() -> None:
    order, values = (SELECTION_RATE, ACCURACY), torch.tensor([[0.2, 0.8], [0.5, 0.6]])
    assert float(StackedRates(order, values).summary(gap, ACCURACY)) == pytest.approx(0.1)
    many = StackedRates(order, values.expand(3, 4, 2, 2)).summary(gap, SELECTION_RATE)
    torch.testing.assert_close(many, torch.full((3, 4), 0.6))
