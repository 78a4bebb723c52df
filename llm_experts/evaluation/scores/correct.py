"""Correctness by the family's own checker."""

from __future__ import annotations

from collections.abc import Sequence

from llm_experts.evaluation.needs import needs_verdict
from llm_experts.evaluation.score import Answered, Array, Score, per_item


def columns(items: Sequence[Answered]) -> Array:
    """[n, 2]: whether the checker takes the first answer, and 1."""
    return per_item([item.verdicts[0].correct for item in items])


SCORE = Score(
    id="correct",
    label="correct",
    about="share of answers that the family's checker takes",
    range=(0, 1),
    better="higher",
    needs="answer",
    columns=columns,
    proportion=True,
    refuses=needs_verdict,
)
