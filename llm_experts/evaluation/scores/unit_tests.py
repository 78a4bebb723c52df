"""Unit tests passed: the first answer is code that passes all tests of its item."""

from __future__ import annotations

from collections.abc import Sequence

from llm_experts.evaluation.needs import needs_fact
from llm_experts.evaluation.score import Answered, Array, Score, per_item


def columns(items: Sequence[Answered]) -> Array:
    """[n, 2]: whether the first answer passes all tests, by the family's checker, and 1."""
    return per_item([item.verdicts[0].correct for item in items])


SCORE = Score(
    id="unit_tests",
    label="unit tests passed",
    about="share of items whose first answer passes all of the item's unit tests; pass@k is that of several answers",
    range=(0, 1),
    better="higher",
    needs="answer",
    columns=columns,
    proportion=True,
    refuses=needs_fact("tests"),
)
