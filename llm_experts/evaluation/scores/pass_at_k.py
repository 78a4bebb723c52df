"""pass@k: the chance that one of k drawn answers is right, without bias from the answers that were drawn.

Chen et al., Evaluating Large Language Models Trained on Code, 2021: with n answers of which c are right,
``1 - C(n - c, k) / C(n, k)``. The naive ``1 - (1 - c / n)**k`` is too low.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llm_experts.evaluation.needs import needs_verdict
from llm_experts.evaluation.score import Answered, Array, Score


def pass_at_k(n: int, c: int, k: int) -> float:
    """Probability that k answers without repetition out of n, of which c are right, hold a right one.

    Raises
    ------
    ValueError
        Unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@{k} of {c} right answers among {n}: needs 0 <= c <= n and 1 <= k <= n")
    if n - c < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def columns_at(items: Sequence[Answered], k: int) -> Array:
    """[n, 2]: pass@k of each item, and 1."""
    values = [pass_at_k(len(item.verdicts), sum(v.correct for v in item.verdicts), k) for item in items]
    return np.stack([np.array(values), np.ones(len(items))], axis=1)


def at(k: int) -> Score:
    """pass@k for one k: an item is a unit of the bootstrap with all its answers."""

    def columns(items: Sequence[Answered]) -> Array:
        return columns_at(items, k)

    def refuses(item: Answered) -> str:
        few = f"it has {len(item.verdicts)} answers, and pass@{k} needs {k}: draw more (--samples {k})"
        return needs_verdict(item) or (few if len(item.verdicts) < k else "")

    return Score(
        id=f"pass@{k}",
        label=f"pass@{k}",
        about=f"chance that one of {k} drawn answers is right, by the unbiased formula of Chen et al. (2021)",
        range=(0, 1),
        better="higher",
        needs="answer",
        columns=columns,
        refuses=refuses,
    )


SCORE = at(1)
