"""Which of several experts validation items speak for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_experts.training.loop.assignment import Fitted


def best_of(tried: Sequence[Fitted]) -> int:
    """Place of the one with the best score of its kept checkpoint; where scores are equal, its log-probability."""
    return max(range(len(tried)), key=lambda at: _validated(tried[at]))


def _validated(fitted: Fitted) -> tuple[float, float]:
    (row, *_) = [row for row in fitted.history if row["step"] == fitted.best_step]
    return fitted.score, row["logprob"]
