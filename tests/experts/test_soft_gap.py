from __future__ import annotations

import numpy as np
import pytest
import torch

from experts.soft_gap import soft_gap
from metrics.surrogates import known_rates, rate_weights, soft_gaps


@pytest.mark.parametrize(("n_groups", "empty"), [(2, False), (4, False), (3, True), (2, True)])
def test_the_gap_is_that_of_the_lanes(n_groups: int, empty: bool) -> None:
    rng = np.random.default_rng(n_groups)
    labels, groups = (torch.from_numpy(rng.integers(0, most, 40)) for most in (2, n_groups - empty))
    margins, rates = rng.normal(size=40), rate_weights(labels, groups, n_groups).double()
    leaf = torch.from_numpy(margins)[None].requires_grad_()
    expected = soft_gaps(leaf, rates, known_rates(rates, None))[0]
    expected.backward()
    value, slope = soft_gap(margins, rates.numpy())
    assert value == pytest.approx(float(expected.detach()))
    np.testing.assert_allclose(slope, leaf.grad[0].nan_to_num().numpy(), atol=1e-12)


def test_groups_of_equal_rows_have_no_gap() -> None:
    labels, groups = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    rates = rate_weights(labels, groups, 2).double().numpy()
    assert soft_gap(np.array([-1.0, 2.0, -1.0, 2.0]), rates)[0] == pytest.approx(0.0)
    # selection rates (σ(9), σ(9)) against (σ(-9), σ(-9)): both gaps are about 1
    assert soft_gap(np.array([9.0, 9.0, -9.0, -9.0]), rates)[0] == pytest.approx(1.0, abs=1e-3)
