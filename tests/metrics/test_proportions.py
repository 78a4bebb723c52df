"""Wilson's interval: scipy's numbers, and its ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from metrics.proportions import Z, quantile, quotient, unseen_share, wilson


@pytest.mark.parametrize(("hits", "n"), [(20, 40), (0, 20), (20, 20), (1, 263), (81, 263)])
def test_wilson_is_scipys(hits: int, n: int) -> None:
    assert wilson(hits, n) == pytest.approx(tuple(binomtest(hits, n).proportion_ci(method="wilson")))


def test_no_trials_no_interval() -> None:
    assert all(math.isnan(end) for end in wilson(0, 0))


def test_z_is_the_quantile() -> None:
    assert float(norm.ppf(0.975)) == Z
    assert [quantile(alpha) for alpha in (0.05, 0.1, 0.01)] == pytest.approx(norm.ppf([0.975, 0.95, 0.995]).tolist())


def test_other_levels_have_their_own_length() -> None:
    theirs = tuple(binomtest(7, 30).proportion_ci(confidence_level=0.8, method="wilson"))
    assert wilson(7, 30, quantile(0.2)) == pytest.approx(theirs)


def test_quotients_of_nothing_are_not_known() -> None:
    found = quotient(np.array([[1.0, 0.0], [3.0, 2.0]]), np.array([[4.0, 0.0], [2.0, 0.0]]))
    np.testing.assert_array_equal(found, [[0.25, math.nan], [1.5, math.nan]])


@pytest.mark.parametrize("n", [1, 14, 75, 3000])
def test_trials_without_exception_leave_open_what_clopper_and_pearson_say(n: int) -> None:
    assert unseen_share(n) == pytest.approx(binomtest(0, n).proportion_ci(method="exact").high)
