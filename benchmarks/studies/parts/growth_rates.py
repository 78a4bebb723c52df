"""How fast a cost grows: exponents of power laws, with intervals from repeated runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special, stats

LEVEL = 0.95


class Exponent(NamedTuple):
    """The exponent b of cost ∝ size^b and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def exponent(costs: Mapping[float, Sequence[float]]) -> Exponent:
    """Least squares on logarithms, with Student's interval.

    The interval says how well the line is known, repetitions and bends of the curve together: a cost with a fixed part
    is no power of the size, and its interval is wide.

    Parameters
    ----------
    costs : mapping
        Size → costs of the runs of that size, all positive; two sizes and three runs at least.

    Raises
    ------
    ValueError
        With fewer.
    """
    pairs = [(math.log(size), math.log(cost)) for size, runs in costs.items() for cost in runs]
    if len(costs) < 2 or len(pairs) < 3:
        raise ValueError(
            f"an exponent needs two sizes and three runs; these are {len(costs)} sizes and {len(pairs)} runs"
        )
    x, y = np.array(pairs).T
    line = stats.linregress(x, y)
    reach = float(special.stdtrit(len(pairs) - 2, (1 + LEVEL) / 2)) * float(line.stderr)
    return Exponent(float(line.slope), float(line.slope) - reach, float(line.slope) + reach)


def last_exponent(costs: Mapping[float, Sequence[float]]) -> Exponent:
    """That between the two largest sizes: where fixed parts weigh least."""
    return exponent({size: costs[size] for size in sorted(costs)[-2:]})
