"""Utility of cross-fitted decisions: equal to the metric, errors those of the bootstrap, pairs by row."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from benchmarks.choice.cross_fit.worth import mean_difference, mean_worth, worth_of
from metrics.points import point_values
from tests.benchmarks.choice.made import model, rows_of


def test_in_one_fold_it_is_the_metric() -> None:
    rows = rows_of(400)
    one = dataclasses.replace(rows, fold=torch.zeros_like(rows.fold))
    said = model(rows, 0.7, 0.1)
    said[:50] = said[7]  # ties
    metric = point_values(said[None], rows.labels, rows.groups, 2, metrics=["utility@1"])["utility@1"]
    assert worth_of(one, said, rows.all).estimate == pytest.approx(float(metric[0]), abs=1e-12)


def test_scales_of_folds_are_never_compared() -> None:
    # the same order of rows within folds, on scales that differ between them
    rows = rows_of(400)
    said = model(rows, 0.7, 0.1)
    margin = torch.logit(said)
    moved = torch.sigmoid(margin * (1 + rows.fold))  # keeps decisions and the order within a fold
    assert worth_of(rows, moved, rows.all).estimate == pytest.approx(worth_of(rows, said, rows.all).estimate, abs=1e-12)


def test_what_rows_add_sums_to_nothing() -> None:
    rows = rows_of(400)
    assert float(worth_of(rows, model(rows, 0.7, 0.1), rows.all).adds.sum()) == pytest.approx(0, abs=1e-12)


def test_error_is_that_of_the_bootstrap() -> None:
    rows = rows_of(600)
    one = dataclasses.replace(rows, fold=torch.zeros_like(rows.fold))
    first, second = model(rows, 0.75, 0.1, 1), model(rows, 0.7, 0.3, 2)
    pair = mean_difference([worth_of(one, first, rows.all)], [worth_of(one, second, rows.all)])
    generator = torch.Generator().manual_seed(5)
    drawn = []
    for _ in range(600):
        again = torch.randint(0, 600, (600,), generator=generator)
        values = point_values(
            torch.stack((first, second))[:, again], rows.labels[again], rows.groups[again], 2, metrics=["utility@1"]
        )["utility@1"]
        drawn.append(float(values[0] - values[1]))
    error = float(torch.tensor(drawn).std())
    assert (pair.high - pair.low) / (2 * 1.96) == pytest.approx(error, rel=0.12)


def test_the_same_row_in_two_splits_is_one_row() -> None:
    rows = rows_of(400)
    one = worth_of(rows, model(rows, 0.7, 0.1), rows.all)
    apart = dataclasses.replace(one, ids=one.ids + 400)
    width = [found.high - found.low for found in (mean_worth([one]), mean_worth([one, one]), mean_worth([one, apart]))]
    assert width[1] == pytest.approx(width[0])
    assert width[2] == pytest.approx(width[0] / math.sqrt(2))


def test_no_decision_no_utility() -> None:
    rows = rows_of(400)
    said = model(rows, 0.7, 0.1)
    said[3] = torch.nan
    assert math.isnan(mean_worth([worth_of(rows, said, rows.all)]).value)
