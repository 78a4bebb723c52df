"""Shares of items, and means over items and seeds with intervals and paired tests that know of both."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foundation.seeding import named_generator
from llm_experts.evaluation.compare import PairedShares
from metrics.proportions import wilson

DRAWS = 4000
Values = NDArray[np.float64]


class Estimate(NamedTuple):
    """A mean and its 95 % interval.

    Attributes
    ----------
    mean, low, high : float
    p : float or None
        Of the paired test that the mean is 0, where it is a mean of differences.
    """

    mean: float
    low: float
    high: float
    p: float | None = None

    def __str__(self) -> str:
        said = f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"
        return said if self.p is None else f"{said}, p = {self.p:.2g}"


def share(hits: float, items: int) -> str:
    """A share of items with Wilson's interval, as ``0.50 [0.40, 0.60]``."""
    low, high = wilson(hits, items)
    return f"{hits / items:.2f} [{low:.2f}, {high:.2f}]"


def gain(before: Values, after: Values) -> str:
    """What the share of right answers to the same items [n] gained, with Newcombe's interval for paired proportions."""
    pair = PairedShares.of(after > 0.5, before > 0.5)
    low, high = pair.interval()
    return f"{pair.difference:+.2f} [{low:+.2f}, {high:+.2f}]"


def mean_of(values: Values) -> Estimate:
    """Mean of values [seeds, items] with a bootstrap interval that draws seeds and items anew (percentiles)."""
    generator, (seeds, items) = named_generator("mean of items and seeds"), values.shape
    rows = generator.integers(0, seeds, (DRAWS, seeds))
    columns = generator.multinomial(items, np.full(items, 1 / items), DRAWS) / items
    chosen = np.stack([np.bincount(row, minlength=seeds) for row in rows]) / seeds
    drawn = np.einsum("ds,si,di->d", chosen, values, columns)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float(values.mean()), float(low), float(high))


def difference_of(values: Values, others: Values) -> Estimate:
    """Mean of paired differences [seeds, items], and a test by random signs of the items' means over seeds.

    The test asks about items: the same seeds are in both. p is (1 + as extreme) / (1 + draws), two-sided.
    """
    differences = values - others
    each = differences.mean(0)
    signs = named_generator("signs of differences").choice([-1.0, 1.0], (DRAWS, each.size))
    extreme = np.abs(signs @ each) >= abs(each.sum()) - 1e-12
    return mean_of(differences)._replace(p=float((1 + extreme.sum()) / (1 + DRAWS)))
