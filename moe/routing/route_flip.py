"""Whether prompts that differ by a group term alone are sent to the same experts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foundation.seeding import numpy_generator
from metrics.proportions import unseen_share
from metrics.spec import MetricSpec
from metrics.value import Value

ROUTE_FLIP = MetricSpec(
    id="route_flip@1",
    name="routing flip of prompts",
    symbol="RF",
    kind="procedural",
    direction="lower",
    target=0.0,
    range=(0.0, 1.0),
    interval="rows",
    bias="none",
    null=True,
    estimable="needs two terms, and templates with a place for them",
    source=(
        "mean over templates of the share of pairs of terms whose prompts get different sets of experts; null: the "
        "terms of a template exchanged with neutral words of the same kind. Counterfactual token fairness (Garg et "
        "al., AIES 2019, eq. 1), of the route in place of the score"
    ),
)


@dataclass(frozen=True)
class RouteFlip:
    """``route_flip@1`` of one axis of group terms.

    Attributes
    ----------
    value : Value
        Interval over templates; null: group terms exchanged with neutral words.
    neutral : Value
        The same rate among neutral words: what any word changes.
    p_value : float
        (1 + exchanges with at least the observed rate) / (1 + exchanges).
    """

    value: Value
    neutral: Value
    p_value: float


def route_flip(terms: Tensor, neutral: Tensor, *, seed: int, draws: int = 2000) -> RouteFlip:
    """How often a group term changes the route, beside what neutral words do.

    Parameters
    ----------
    terms : [t, g] int64
        For each template and group term the number of the set of experts that the prompt gets.
    neutral : [t, m] int64
        The same with neutral words in the same places.
    seed : int
        Of bootstrap and exchanges.
    draws : int
        Bootstrap samples of templates, and exchanges.

    Notes
    -----
    Without a single flip the interval ends at what so many templates leave open
    (:func:`metrics.proportions.unseen_share`), not at 0.
    """
    if len(terms) == 0 or terms.shape[1] < 2:
        nothing = Value.not_estimable(ROUTE_FLIP.estimable)
        return RouteFlip(nothing, nothing, math.nan)
    rates = _flips(terms.numpy())
    rng = numpy_generator(seed, "route flip")
    both, width = torch.cat([terms, neutral], dim=1).numpy(), terms.shape[1]
    null = np.array([_flips(rng.permuted(both, axis=1)[:, :width]).mean() for _ in range(draws)])
    estimate = float(rates.mean())
    low, high = _interval(rates, rng, draws)
    value = Value(
        estimate, low, high, null_p95=float(np.quantile(null, 0.95)),
        null_mean=float(null.mean()), null_sd=float(null.std()),
    )  # fmt: skip
    return RouteFlip(value, _plain(neutral, rng, draws), (1 + int((null >= estimate - 1e-12).sum())) / (1 + draws))


def _flips(codes: Any) -> Any:
    """[t] share of pairs of columns that differ."""
    count = codes.shape[1]
    first, second = np.triu_indices(count, k=1)
    return (codes[:, first] != codes[:, second]).mean(axis=1)


def _interval(rates: Any, rng: np.random.Generator, draws: int) -> tuple[float, float]:
    """95 % percentile interval over templates."""
    open_share = unseen_share(len(rates))
    if rates.max() == 0:
        return 0.0, open_share
    if rates.min() == 1:
        return 1 - open_share, 1.0
    means = rates[rng.integers(0, len(rates), (draws, len(rates)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _plain(codes: Tensor, rng: np.random.Generator, draws: int) -> Value:
    if codes.shape[1] < 2:
        return Value.not_estimable(ROUTE_FLIP.estimable)
    rates = _flips(codes.numpy())
    return Value(float(rates.mean()), *_interval(rates, rng, draws))
