from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from captum.attr import IntegratedGradients
from hypothesis import given, settings
from hypothesis import strategies as st

from experts.networks.integrated_gradients import (
    by_column,
    column_indicator,
    integrated_gradients,
    lane_attributions,
)
from experts.networks.lanes import LaneParameters, margins
from metrics.procedural.attribution import att_jsd, profiles


def case(
    d: int = 6, hidden: int = 5, lanes: int = 3, n: int = 40, seed: int = 0
) -> tuple[LaneParameters, torch.Tensor]:
    parameters = LaneParameters.initial(d, hidden, range(seed, seed + lanes))
    parameters.theta *= 2
    return parameters, torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) * 2


def margin_of(parameters: LaneParameters, lane: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda z: margins(parameters, z)[lane]


def captum_attributions(parameters: LaneParameters, lane: int, x: torch.Tensor, steps: int) -> torch.Tensor:
    explainer: Any = IntegratedGradients(margin_of(parameters, lane))
    attributions: torch.Tensor = explainer.attribute(x, n_steps=steps, method="riemann_middle")
    return attributions


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(1, 6), st.integers(0, 10_000))
def test_attributions_sum_to_the_margin_above_the_baseline(d: int, hidden: int, seed: int) -> None:
    parameters, x = case(d, hidden, seed=seed)
    at_zero = margins(parameters, torch.zeros(1, d))
    torch.testing.assert_close(
        lane_attributions(parameters, x).sum(-1), margins(parameters, x) - at_zero, rtol=1e-4, atol=1e-4
    )


def test_a_row_of_zeros_has_no_attribution_and_a_gradient_without_nan() -> None:
    parameters, _ = case()
    parameters.theta.requires_grad_()
    attributions = lane_attributions(parameters, torch.zeros(2, 6))
    assert bool((attributions == 0).all())
    attributions.sum().backward()  # type: ignore[no-untyped-call]
    assert parameters.theta.grad is not None and bool(parameters.theta.grad.isfinite().all())


def test_closed_form_is_what_many_steps_converge_to() -> None:
    parameters, x = case()
    steps = torch.stack([integrated_gradients(margin_of(parameters, k), x, 400) for k in range(3)])
    torch.testing.assert_close(lane_attributions(parameters, x), steps, rtol=0, atol=1e-2)


@pytest.mark.parametrize(("biases", "steps", "divergence"), [(False, 50, 1e-6), (True, 400, 1e-4)])
def test_closed_form_equals_captum(biases: bool, steps: int, divergence: float) -> None:
    # a kink inside the path costs a quadrature with N points an error of the order of 1/N: without biases there is none
    parameters, x = case(n=60)
    if not biases:
        parameters.theta[:, : 5 * 7].view(3, 5, 7)[..., -1] = 0
    exact = lane_attributions(parameters, x)
    captum = torch.stack([captum_attributions(parameters, k, x, steps) for k in range(3)])
    assert float((captum - exact).abs().max()) < (1e-2 if biases else 1e-4)
    one, two = (att_jsd(profiles(a, torch.arange(60) % 2, 2), torch.tensor([True, True])) for a in (captum, exact))
    assert float((one - two).abs().max()) < divergence


def test_gradient_equals_finite_differences() -> None:
    parameters, x = case(n=8)
    x64, theta = x.double(), parameters.theta.double()

    def total(values: torch.Tensor) -> torch.Tensor:
        return lane_attributions(LaneParameters(values, 6, 5), x64).square().sum()

    assert torch.autograd.gradcheck(total, theta.requires_grad_())


def test_columns_sum_the_signed_attributions_of_their_features() -> None:
    indicator = column_indicator(torch.tensor([1, 0, 1]), 2)
    values = torch.tensor([[1.0, -2.0, 4.0], [0.5, 1.0, -0.5]])
    assert by_column(values, indicator).tolist() == [[-2.0, 5.0], [1.0, 0.0]]


def test_midpoint_rule_is_exact_for_a_quadratic_margin() -> None:
    x = torch.tensor([[1.0, -2.0], [3.0, 0.5]])
    attributions = integrated_gradients(lambda z: (z**2).sum(1) + z[:, 0], x, steps=4)
    torch.testing.assert_close(attributions, x**2 + x * torch.tensor([1.0, 0.0]))


def test_midpoint_rule_needs_no_gradient_mode() -> None:
    with torch.no_grad():
        assert integrated_gradients(lambda z: z[:, 0] * 2, torch.ones(1, 2), steps=2).tolist() == [[2.0, 0.0]]


@pytest.mark.parametrize("rows", [0, 1])
def test_empty_and_single_rows(rows: int) -> None:
    parameters, x = case()
    assert lane_attributions(parameters, x[:rows]).shape == (3, rows, 6)
