"""Probability that new rows keep a limit: cases worked by hand, and calibration."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.choice.cross_fit.new_rows import DRAWS, ceiling, foreseen, scaled
from metrics.counts.group_rates import rates_of_counts
from metrics.points import count_values
from metrics.registry import COUNTS
from metrics.thresholds import keeps

GROUPS = torch.tensor([[[300.0, 100.0], [80.0, 120.0]], [[250.0, 60.0], [90.0, 100.0]]])


def accuracy_law(table: Tensor, new: int) -> Tensor:
    """[new + 1] probability of each number of right answers among new rows: beta-binomial.

    Accuracy sums four of the eight cells, each with half a row of Jeffreys' prior.
    """
    right = table[:, 0, 0].sum() + table[:, 1, 1].sum() + 4 * 0.5
    wrong = table.sum() - right + 8 * 0.5
    k = torch.arange(new + 1, dtype=torch.float64)

    def log_beta(a: Tensor, b: Tensor) -> Tensor:
        return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)

    choices = -log_beta(k + 1, new - k + 1) - math.log(new + 1)
    return (choices + log_beta(k + right, new - k + wrong) - log_beta(right, wrong)).exp()


def test_probability_of_an_accuracy_is_beta_binomial() -> None:
    table, new = GROUPS.double(), 400
    law = accuracy_law(table, new)
    assert float(law.sum()) == pytest.approx(1)
    for limit in (0.66, 0.70, 0.74):
        by_hand = float(law[math.ceil(limit * new) :].sum())
        found = foreseen(table, "acc@1", limit, new, np.random.default_rng(3)).probability
        assert found == pytest.approx(by_hand, abs=4 * 0.5 / math.sqrt(DRAWS))


def test_range_is_that_of_the_law() -> None:
    table, new = GROUPS.double(), 400
    below = accuracy_law(table, new).cumsum(0)
    kept = foreseen(table, "acc@1", 0.7, new, np.random.default_rng(4))
    assert kept.low == pytest.approx(int((below < 0.025).sum()) / new, abs=0.01)
    assert kept.high == pytest.approx(int((below < 0.975).sum()) / new, abs=0.01)


@pytest.mark.parametrize(("metric", "limit"), [("dp@1", 0.3), ("fair_res@1", 0.3), ("worst_acc@1", 0.4)])
def test_said_probabilities_come_true(metric: str, limit: float) -> None:
    # populations as the prior has them, a table of rows that choose and new rows of each: what is said is what happens
    generator = np.random.default_rng(11)
    said, came = [], []
    for _ in range(400):
        population = generator.dirichlet(np.full(8, 0.5))
        table, new = (torch.from_numpy(generator.multinomial(n, population)).double().view(2, 2, 2) for n in (300, 150))
        said.append(foreseen(table, metric, limit, 150, generator).probability)
        rates = rates_of_counts(new, scaled(table, 150).sum(-1))
        came.append(bool(keeps(COUNTS[metric].statistic.value(rates), limit, metric)))
    order = np.argsort(said)
    for part in np.array_split(order, 4):  # from the unsure to the sure
        likely, happened = np.array(said)[part], np.array(came)[part]
        error = float(np.sqrt(np.mean(likely * (1 - likely)) / len(part))) + 0.5 / len(part)
        assert happened.mean() == pytest.approx(likely.mean(), abs=3 * error)


def test_a_fair_rule_is_not_said_to_be_surer_than_it_is() -> None:
    # what rows say of a gap is more than the gap, so that a fair population is told with some caution
    generator = np.random.default_rng(12)
    fair = np.array([0.2, 0.1, 0.1, 0.1, 0.2, 0.1, 0.1, 0.1])
    said, came = [], []
    for _ in range(200):
        table, new = (torch.from_numpy(generator.multinomial(n, fair)).double().view(2, 2, 2) for n in (900, 500))
        said.append(foreseen(table, "dp@1", 0.07, 500, generator).probability)
        came.append(float(count_values(new)["dp@1"]) <= 0.07)
    assert np.mean(said) <= np.mean(came)
    assert np.mean(said) > 0.5


def test_no_limit_is_always_kept_and_more_rows_are_surer() -> None:
    fair = torch.tensor([[[200.0, 100.0], [100.0, 200.0]], [[200.0, 100.0], [100.0, 200.0]]]).double()
    assert foreseen(fair, "dp@1", float("inf"), 100, np.random.default_rng(0)).probability == 1
    few, many = (foreseen(fair, "dp@1", 0.05, n, np.random.default_rng(0)).probability for n in (100, 5000))
    assert few < many
    assert ceiling(fair, "dp@1", 0.05, 5000, np.random.default_rng(0)) >= many


def test_same_seed_same_answer() -> None:
    first, again = (foreseen(GROUPS.double(), "dp@1", 0.05, 300, np.random.default_rng(5)) for _ in range(2))
    assert first == again


def test_nothing_is_foreseen_of_groups_too_small_to_count() -> None:
    tiny = torch.tensor([[[3.0, 1.0], [1.0, 1.0]], [[300.0, 50.0], [40.0, 90.0]]]).double()
    kept = foreseen(tiny, "dp@1", 0.05, 300, np.random.default_rng(0))
    assert kept.probability == 0
    assert np.isnan(kept.low)
