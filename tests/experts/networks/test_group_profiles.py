from __future__ import annotations

import pytest
import torch
from torch import Tensor

from experts.networks.group_profiles import ProfileRows, group_profiles, indicator_or_none
from experts.networks.integrated_gradients import attributions_of, by_column, column_indicator
from experts.networks.lanes import LaneParameters, hidden, with_ones


def case(d: int, columns: int, *, weighted: bool) -> tuple[LaneParameters, Tensor, Tensor, ProfileRows, Tensor]:
    g = torch.Generator().manual_seed(0)
    parameters = LaneParameters.initial(d, 5, range(3))
    parameters.theta = parameters.theta.double().requires_grad_()
    x = torch.randn(50, d, generator=g, dtype=torch.float64)
    owner = torch.arange(d) * columns // d
    members = torch.nn.functional.one_hot(torch.arange(50) % 3, 3).double()
    members = members / members.sum(0)
    weights = torch.rand(3, 50, generator=g, dtype=torch.float64) if weighted else None
    indicator = indicator_or_none(owner, columns)
    rows = ProfileRows(x.T.contiguous(), members, weights, None if indicator is None else indicator.double())
    return (
        parameters,
        with_ones(x),
        column_indicator(owner, columns).double(),
        rows,
        torch.randn(3, columns, 3, generator=g),
    )


@pytest.mark.parametrize(("d", "columns", "weighted"), [(6, 6, False), (9, 4, False), (9, 4, True)])
def test_values_and_gradients_equal_automatic_differentiation(d: int, columns: int, weighted: bool) -> None:
    parameters, x, indicator, rows, upstream = case(d, columns, weighted=weighted)
    results = []
    for by_hand in (True, False):
        parameters.theta.grad = None
        first, second, _ = parameters.split()
        ends = hidden(first, x)
        if by_hand:
            means = group_profiles(ends, first, second, rows)
        else:
            size = by_column(attributions_of(ends, first, second, x), indicator).abs()
            profiles = size / size.sum(-1, keepdim=True)
            if rows.weights is not None:
                profiles = profiles * rows.weights[..., None]
            means = (rows.members.T @ profiles).mT
        (means * upstream).sum().backward()  # type: ignore[no-untyped-call]
        results.append((means.detach(), parameters.theta.grad))
    torch.testing.assert_close(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1])


def test_unweighted_profiles_sum_to_one() -> None:
    parameters, x, _, rows, _ = case(9, 4, weighted=False)
    first, second, _ = parameters.split()
    totals = group_profiles(hidden(first, x), first, second, rows).sum(1)
    torch.testing.assert_close(totals, torch.ones(3, 3, dtype=torch.float64))


def test_a_row_of_zeros_keeps_the_gradient_finite() -> None:
    parameters, x, _, rows, upstream = case(6, 6, weighted=False)
    x[0, :-1] = 0
    rows.features[:, 0] = 0
    first, second, _ = parameters.split()
    (group_profiles(hidden(first, x), first, second, rows) * upstream).sum().backward()  # type: ignore[no-untyped-call]
    assert parameters.theta.grad is not None and bool(parameters.theta.grad.isfinite().all())
