"""Which of several experts validation items speak for, and experts of more seeds at its learning rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_experts.bases.base import Base
    from llm_experts.training.loop.assignment import Assignment, Fitted


def at_best_rate(
    base: Base,
    rates: Sequence[float],
    seeds: int,
    of: Callable[[int, Sequence[float]], list[Assignment]],
    folder: Path,
) -> tuple[float, list[Fitted]]:
    """The rate that the first seed chooses among several, and an expert of each seed at it.

    ``of(seed, rates)`` are the experts of a seed, one per rate; ``folder`` keeps them.
    """
    from llm_experts.training.loop.fit import fit

    tried = fit(base, of(0, rates), folder=folder)
    best = best_of(tried)
    found = [tried[best]]
    for seed in range(1, seeds):
        found += fit(base, of(seed, rates[best : best + 1]), folder=folder)
    return rates[best], found


def best_of(tried: Sequence[Fitted]) -> int:
    """Place of the one with the best score of its kept checkpoint; where scores are equal, its log-probability."""
    return max(range(len(tried)), key=lambda at: _validated(tried[at]))


def _validated(fitted: Fitted) -> tuple[float, float]:
    (row, *_) = [row for row in fitted.history if row["step"] == fitted.best_step]
    return fitted.score, row["logprob"]
