"""Rates and their summaries, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from metrics.counts.rates import (
    ACCURACY,
    F1,
    FALSE_POSITIVE_RATE,
    SELECTION_RATE,
    TRUE_POSITIVE_RATE,
    Rate,
    gap,
    ratio,
    smallest,
)

NAN = math.nan
PRECISION = Rate("precision", hits=((0, 0), (0, 1)), among=((0, 1), (0, 1)))
RATES = (SELECTION_RATE, TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE, ACCURACY, F1, PRECISION)
# labels 0: 3 predicted 0, 4 predicted 1; labels 1: 5 predicted 0, 6 predicted 1
TABLE = torch.tensor([[[3, 4], [5, 6]]], dtype=torch.float64)


def test_rates_of_four_different_cells() -> None:
    found = [float(rate.of_counts(TABLE)) for rate in RATES]
    assert found == pytest.approx([10 / 18, 6 / 11, 4 / 7, 9 / 18, 12 / (12 + 4 + 5), 6 / 10])
    assert [float(rate.rows(TABLE)) for rate in RATES] == [18, 11, 7, 18, 21, 10]
    assert [float(rate.hits_of(TABLE)) for rate in RATES] == [10, 6, 4, 9, 12, 6]


def test_without_rows_there_is_no_rate_and_with_one_there_is() -> None:
    one = torch.tensor([[[0, 0], [0, 1]], [[1, 0], [0, 0]]], dtype=torch.float64)
    for rate, expected in zip(RATES, ([1, 0], [1, NAN], [NAN, 0], [1, 1], [1, NAN], [1, NAN]), strict=True):
        assert rate.of_counts(one).tolist() == pytest.approx(expected, nan_ok=True), rate.name


def test_labels_that_a_rate_speaks_of_and_whether_it_is_a_mean_prediction() -> None:
    assert [rate.labels for rate in RATES] == [(0, 1), (1,), (0,), (0, 1), (1,), (0, 1)]
    assert [rate.is_linear for rate in RATES] == [True, True, True, False, False, False]


def test_weights_give_the_mean_prediction_of_each_group() -> None:
    labels, groups = torch.tensor([0, 1, 1, 1, 0]), torch.tensor([0, 0, 0, 2, 2])
    probability = torch.tensor([0.1, 0.2, 0.4, 0.8, 0.5])
    for rate, expected in ((SELECTION_RATE, [0.7 / 3, 0, 0.65]), (TRUE_POSITIVE_RATE, [0.3, 0, 0.8])):
        assert (probability @ rate.weights(labels, groups, 3)).tolist() == pytest.approx(expected)
    assert (probability @ FALSE_POSITIVE_RATE.weights(labels, groups, 3)).tolist() == pytest.approx([0.1, 0, 0.5])
    for rate in (ACCURACY, F1):
        with pytest.raises(ValueError, match="no mean prediction over rows"):
            rate.weights(labels, groups, 3)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([0.2, 0.8, 0.5], (0.6, 0.25, 0.2)),
        ([0.2, NAN, 0.5], (0.3, 0.4, 0.2)),
        ([0.0, 0.5], (0.5, 0.0, 0.0)),
        ([0.0, 0.0], (0.0, 1.0, 0.0)),
        ([1.0, 1.0], (0.0, 1.0, 1.0)),
        ([0.3, NAN, NAN], (NAN, NAN, NAN)),
        ([NAN, NAN], (NAN, NAN, NAN)),
    ],
)
def test_summaries(rates: list[float], expected: tuple[float, float, float]) -> None:
    values = torch.tensor(rates, dtype=torch.float64)
    assert [float(f(values)) for f in (gap, ratio, smallest)] == pytest.approx(list(expected), nan_ok=True)
