"""Temperature and bias: known curves are found, hopeless rows stay finite, order stays."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from llm_experts.reading.calibration import (
    CalibrationError,
    calibrated,
    calibration_errors,
    fit_calibration,
)
from metrics.expected_labels import platt_targets


def rows(n: int, slope: float, offset: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    margins = torch.randn(n, generator=g, dtype=torch.float64) * 2 + 3
    return margins, (torch.rand(n, generator=g) < torch.sigmoid(slope * margins + offset)).long()


def test_finds_the_curve_that_labels_come_from() -> None:
    margins, labels = rows(20_000, 0.5, -1.5)
    temperature, bias = fit_calibration(margins[None], labels)
    assert float(temperature) == pytest.approx(2.0, rel=0.05)
    assert float(bias) == pytest.approx(-1.5, abs=0.08)


def test_agrees_with_logistic_regression_on_platts_targets() -> None:
    margins, labels = rows(3000, 1.3, -2.0)
    temperature, bias = fit_calibration(margins[None], labels)
    x, t = np.tile(margins.numpy(), 2)[:, None], platt_targets(labels).numpy()
    y, weight = np.repeat([1, 0], len(t)), np.concatenate([t, 1 - t])
    oracle = LogisticRegression(C=1e9, tol=1e-10).fit(x, y, sample_weight=weight)
    assert 1 / float(temperature) == pytest.approx(oracle.coef_[0, 0], rel=1e-3)
    assert float(bias) == pytest.approx(oracle.intercept_[0], rel=1e-3)


def test_experts_are_fitted_one_by_one_whatever_their_scale() -> None:
    margins, labels = rows(300, 0.7, -2.0)
    together = torch.stack([margins, margins * 1000 - 4000, margins / 1000])
    temperature, bias = fit_calibration(together, labels)
    probabilities = torch.sigmoid(calibrated(together, temperature, bias))
    torch.testing.assert_close(probabilities[1], probabilities[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(probabilities[2], probabilities[0], atol=1e-6, rtol=0)
    alone = fit_calibration(margins[None], labels)
    torch.testing.assert_close(temperature[:1], alone.temperature, rtol=1e-9, atol=0)


def test_separable_rows_stay_finite() -> None:
    margins = torch.tensor([[-2.0, -1.0, 1.0, 2.0]])
    temperature, bias = fit_calibration(margins, torch.tensor([0, 0, 1, 1]))
    assert 0.05 < float(temperature) < 5
    assert abs(float(bias)) < 1e-6
    two = fit_calibration(torch.tensor([[-1.0, 1.0]]), torch.tensor([0, 1]))
    assert math.isfinite(float(two.temperature)) and float(two.temperature) > 0


def test_margins_that_say_nothing_become_the_share_of_the_class() -> None:
    labels = torch.tensor([1] * 30 + [0] * 10)
    temperature, bias = fit_calibration(torch.full((1, 40), 7.0), labels)
    probability = torch.sigmoid(calibrated(torch.full((1, 40), 7.0), temperature, bias))
    expected = float(platt_targets(labels).mean())
    torch.testing.assert_close(probability, torch.full((1, 40), expected), atol=1e-6, rtol=0)


def test_margins_that_point_the_wrong_way_keep_their_order() -> None:
    margins, labels = rows(400, 1.0, -3.0)
    temperature, bias = fit_calibration(-margins[None], labels)
    assert float(temperature) > 5
    fitted = calibrated(-margins[None], temperature, bias)[0]
    assert fitted.argsort().tolist() == (-margins).argsort().tolist()
    assert float(torch.sigmoid(fitted).std()) < 0.1


def test_a_broken_expert_is_nan_and_leaves_the_others_alone() -> None:
    margins, labels = rows(50, 1.0, -3.0)
    broken = margins.clone()
    broken[3] = math.nan
    fitted = fit_calibration(torch.stack([margins, broken]), labels)
    assert fitted.temperature.isnan().tolist() == [False, True]
    assert fitted.bias.isnan().tolist() == [False, True]
    alone = fit_calibration(margins[None], labels).temperature
    torch.testing.assert_close(fitted.temperature[:1], alone, rtol=1e-6, atol=0)


def test_repeats_bit_by_bit() -> None:
    margins, labels = rows(64, 0.3, 0.0)
    first, second = fit_calibration(margins[None], labels), fit_calibration(margins[None], labels)
    assert torch.equal(first.temperature, second.temperature) and torch.equal(first.bias, second.bias)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e4, 1e4), st.booleans()), min_size=2, max_size=30))
def test_always_finite_and_no_worse_than_the_share(pairs: list[tuple[float, bool]]) -> None:
    margins = torch.tensor([[m for m, _ in pairs]], dtype=torch.float64)
    labels = torch.tensor([int(y) for _, y in pairs])
    if labels.unique().numel() < 2:
        return
    temperature, bias = fit_calibration(margins, labels)
    assert float(temperature) > 0 and math.isfinite(float(temperature)) and math.isfinite(float(bias))
    targets = platt_targets(labels)
    fitted = torch.sigmoid(calibrated(margins, temperature, bias))[0].clamp(1e-12, 1 - 1e-12)
    share = targets.mean().expand_as(targets)
    loss = [torch.nn.functional.binary_cross_entropy(p, targets, reduction="sum") for p in (fitted, share)]
    assert float(loss[0]) <= float(loss[1]) + 0.05 * len(targets) + 0.5  # the prior asks for a little


def test_errors_before_and_after() -> None:
    margins, labels = rows(2000, 0.4, 0.0)
    overconfident = margins[None] * 5
    before, after = calibration_errors(overconfident, labels, fit_calibration(overconfident, labels))
    assert float(after) < 0.05 < float(before)


def test_says_what_is_wrong() -> None:
    with pytest.raises(CalibrationError, match="all 3 rows have label 1"):
        fit_calibration(torch.randn(2, 3), torch.ones(3, dtype=torch.int64))
    with pytest.raises(CalibrationError, match="use validation rows"):
        fit_calibration(torch.randn(1, 3), torch.tensor([0, 1, -1]))
    with pytest.raises(CalibrationError, match=r"margins are \[K, n\]"):
        fit_calibration(torch.randn(3), torch.tensor([0, 1, 0]))
    with pytest.raises(CalibrationError, match="there are no rows"):
        fit_calibration(torch.zeros(1, 0), torch.zeros(0, dtype=torch.int64))


def test_calibrated_takes_numbers_too() -> None:
    assert calibrated(torch.tensor([2.0, 4.0]), 2.0, 1.0).tolist() == [2.0, 3.0]
    assert np.isclose(
        calibrated(torch.ones(2, 1), torch.tensor([1.0, 2.0]), torch.zeros(2)).numpy(), [[1], [0.5]]
    ).all()
