"""Exact match: the answer is the reference, but for form."""

from __future__ import annotations

from collections.abc import Sequence

from llm_experts.evaluation.needs import needs_reference
from llm_experts.evaluation.score import Answered, Array, Score, per_item
from llm_experts.evaluation.texts import normalised


def columns(items: Sequence[Answered]) -> Array:
    """[n, 2]: whether the normalised texts are equal, and 1."""
    return per_item([normalised(item.answer) == normalised(item.example.completion) for item in items])


SCORE = Score(
    id="exact_match",
    label="exact match",
    about="share of answers equal to the reference, but for case, white space, outer quotes and closing punctuation",
    range=(0, 1),
    better="higher",
    needs="answer",
    columns=columns,
    proportion=True,
    refuses=needs_reference,
)
