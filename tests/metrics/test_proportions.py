"""Wilson's interval: scipy's numbers, and its ends."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binomtest, norm

from metrics.proportions import Z, unseen_share, wilson


@pytest.mark.parametrize(("hits", "n"), [(20, 40), (0, 20), (20, 20), (1, 263), (81, 263)])
def test_wilson_is_scipys(hits: int, n: int) -> None:
    assert wilson(hits, n) == pytest.approx(tuple(binomtest(hits, n).proportion_ci(method="wilson")))


def test_no_trials_no_interval() -> None:
    assert all(math.isnan(end) for end in wilson(0, 0))


def test_z_is_the_quantile() -> None:
    assert float(norm.ppf(0.975)) == Z


@pytest.mark.parametrize("n", [1, 14, 75, 3000])
def test_trials_without_exception_leave_open_what_clopper_and_pearson_say(n: int) -> None:
    assert unseen_share(n) == pytest.approx(binomtest(0, n).proportion_ci(method="exact").high)
