import math

import numpy as np
import pytest
import torch

from foundation.seeding import numpy_generator
from moe.decision.transfer import transfer_ceiling, transfer_probability


def table(rates: tuple[float, float], size: int = 500) -> torch.Tensor:
    """Two groups, half of each positive, selected alike for both labels."""
    return torch.tensor([[[1 - r, r], [1 - r, r]] for r in rates], dtype=torch.float64) * size / 2


def test_known_law_of_two_proportions():
    """Of 1,000 new rows with true rates drawn about the observed ones, the difference is nearly normal."""
    one = table((0.5, 0.5), 2000)
    found = transfer_probability(one, "dp@1", 0.05, 1000, numpy_generator(0, "test"))
    spread = math.sqrt(2 * 0.25 / 500 + 2 * 0.25 / 2000)
    expected = math.erf(0.05 / spread / math.sqrt(2))
    assert found == pytest.approx(expected, abs=0.04)


def test_ceiling_is_that_of_a_gap_of_zero_and_does_not_see_the_observed_one():
    wide, none = (
        transfer_ceiling(table(rates), "dp@1", 0.05, 1000, numpy_generator(1, "test"))
        for rates in ((0.3, 0.7), (0.5, 0.5))
    )
    assert wide == pytest.approx(none, abs=1e-9)
    assert wide == pytest.approx(math.erf(0.05 / math.sqrt(2 * 0.25 / 500) / math.sqrt(2)), abs=0.04)


def test_more_new_rows_and_wider_limits_are_kept_more_often():
    def at(limit, rows):
        return transfer_probability(table((0.5, 0.52), 5000), "dp@1", limit, rows, numpy_generator(2, "test"))

    assert at(0.05, 500) < at(0.05, 5000)
    assert at(0.02, 2000) < at(0.1, 2000)
    assert at(math.inf, 500) == 1


def test_a_lower_bound_is_kept_from_above():
    high = transfer_probability(table((0.9, 0.9), 3000), "worst_tpr@1", 0.8, 2000, np.random.default_rng(0))
    low = transfer_probability(table((0.9, 0.7), 3000), "worst_tpr@1", 0.8, 2000, np.random.default_rng(0))
    assert high > 0.99 and low < 0.01
