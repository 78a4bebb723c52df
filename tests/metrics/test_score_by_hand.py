"""Intervals and reasons of the whole score against a plain resampling of rows, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from foundation.seeding import numpy_generator
from metrics.calibration import ece
from metrics.evidence import Evidence
from metrics.registry import CFA_METRICS, METRICS
from metrics.resample import row_weights
from metrics.score import Scores, score
from metrics.value import Value

NAMES = ["a", "b", "c"]


def scored(probability: Tensor, labels: Tensor, groups: Tensor, draws: int = 200) -> dict[str, Value]:
    names = NAMES[: int(groups.max()) + 1]
    return score(Evidence(probability), labels, groups, names, seed=4, draws=draws, permutations=30).values


def rows(n: int = 90, n_groups: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(11)
    probability = torch.rand(n, generator=generator, dtype=torch.float64)
    labels = (torch.rand(n, generator=generator) < 0.3 + 0.4 * probability).long()
    return probability, labels, torch.arange(n) % n_groups


def resamples(n: int, draws: int = 200) -> list[Tensor]:
    """The rows of each bootstrap sample, as the score draws them."""
    weights = row_weights(n, draws, numpy_generator(4, "rows")).long()
    return [torch.repeat_interleave(torch.arange(n), weight) for weight in weights]


def excess_by_group(probability: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    return torch.stack([(probability - labels)[groups == g].mean() for g in range(3)])


def spread(values: Tensor) -> float:
    return float(values.max() - values.min())


def test_interval_of_the_calibration_error_is_that_of_resampled_rows() -> None:
    probability, labels, groups = rows()
    found = scored(probability, labels, groups)["ece@1"]
    drawn = [float(ece(probability[some][None], labels[some])) for some in resamples(len(labels))]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found.high == pytest.approx(high, abs=1e-5)
    assert found.low == pytest.approx(max(0.0, min(low, 2 * found.estimate - high)), abs=1e-5)


def test_interval_of_the_calibration_gap_is_that_of_resampled_rows() -> None:
    probability, labels, groups = rows()
    labels[groups == 2] = 0  # so far off that the interval does not reach 0
    found = scored(probability, labels, groups)["cal_gap@1"]
    drawn = [excess_by_group(probability[s], labels[s], groups[s]) for s in resamples(len(labels))]
    observed = excess_by_group(probability, labels, groups)
    moved = [spread(draw - observed) for draw in drawn]
    assert found.estimate == pytest.approx(spread(observed))
    assert found.high == pytest.approx(np.quantile([spread(draw) for draw in drawn], 0.975), abs=1e-5)
    assert found.low == pytest.approx(found.estimate - np.quantile(moved, 0.95), abs=1e-5) and found.low > 0


def test_flawless_probabilities_of_three_groups_leave_the_two_smallest_open() -> None:
    groups = torch.repeat_interleave(torch.arange(3), torch.tensor([10, 20, 40]))
    labels = torch.arange(70) % 2
    found = scored(labels.double(), labels, groups)["cal_gap@1"]
    reach = math.hypot(1 - 0.025 ** (1 / 10), 1 - 0.025 ** (1 / 20))
    assert (found.estimate, found.low, found.high) == pytest.approx((0, 0, reach))


def test_flawless_probabilities_of_two_groups_leave_both_open_and_of_one_nothing() -> None:
    """Groups of fewer than ten rows have no part in it."""
    groups = torch.repeat_interleave(torch.arange(3), torch.tensor([10, 40, 9]))
    labels = torch.arange(59) % 2
    found = scored(labels.double(), labels, groups)["cal_gap@1"]
    reach = math.hypot(1 - 0.025 ** (1 / 10), 1 - 0.025 ** (1 / 40))
    assert (found.estimate, found.low, found.high) == pytest.approx((0, 0, reach))
    alone = torch.repeat_interleave(torch.arange(3), torch.tensor([41, 9, 9]))
    assert scored(labels.double(), labels, alone)["cal_gap@1"].status == "not_estimable"


def test_an_order_that_is_wrong_everywhere_leaves_utility_room_above() -> None:
    """5 negatives above 95 positives: five independent pairs do not say that every pair is in the wrong order."""
    labels = (torch.arange(100) >= 5).long()
    probability = torch.where(labels == 1, 0.7, 0.9)
    values = scored(probability, labels, torch.arange(100) % 2)
    assert values["auc@1"].estimate == 0 and values["auc@1"].high == pytest.approx(1 - 0.025 ** (1 / 5))
    utility = values["utility@1"]
    assert utility.high - utility.estimate >= values["auc@1"].high / 3


def test_the_reason_names_the_condition_that_fails() -> None:
    """Ten rows are enough: it is the negatives of b that are too few."""
    groups = torch.tensor([0] * 40 + [1] * 13)
    labels = torch.tensor([1] * 10 + [0] * 30 + [1] * 10 + [0] * 3)
    probability = torch.rand(53, generator=torch.Generator().manual_seed(0))
    values = scored(probability, labels, groups)
    assert values["eopp@1"].status == "ok"
    assert values["eodds@1"].reason == "needs two groups with at least 10 rows with label 0; there are a 30, b 3"


def test_a_group_of_ten_rows_is_not_left_out() -> None:
    groups = torch.tensor([0] * 30 + [1] * 10 + [2] * 5)
    probability = torch.rand(45, generator=torch.Generator().manual_seed(0))
    value = scored(probability, torch.arange(45) % 2, groups)["dp@1"]
    assert (value.status, value.reason) == ("ok", "left out (fewer than 10 rows): c 5")


def test_only_gaps_between_groups_have_a_null() -> None:
    """Shuffled groups say nothing of a rate of all rows, and a minimum or ratio is no distance from equality."""
    values = scored(*rows())
    with_null = {id for id, value in values.items() if not math.isnan(value.null_p95)}
    assert {"dp@1", "eopp@1", "eodds@1", "acc_gap@1", "fair_res@1"} <= with_null
    assert not with_null & {"acc@1", "f1@1", "worst_acc@1", "worst_tpr@1", "dp_ratio@1", "eopp_ratio@1", "auc@1"}


def test_what_is_not_asked_for() -> None:
    probability, labels, groups = rows()
    plain: Scores = score(Evidence(probability), labels, groups, NAMES, seed=4)
    asked = score(Evidence(probability), labels, groups, NAMES, seed=4, draws=1000, permutations=500, cfa=True)
    assert set(plain.values) == set(METRICS) - set(CFA_METRICS)
    assert set(asked.values) == set(METRICS)
    for id, value in plain.values.items():
        assert repr(value) == repr(asked.values[id])
