"""JSON validity: the whole answer is JSON."""

from __future__ import annotations

from collections.abc import Sequence

from llm_experts.evaluation.score import Answered, Array, Score, per_item
from llm_experts.evaluation.texts import json_in


def columns(items: Sequence[Answered]) -> Array:
    """[n, 2]: whether the answer is JSON, and 1."""
    return per_item([_valid(item.answer) for item in items])


def _valid(text: str) -> bool:
    try:
        json_in(text)
    except ValueError:
        return False
    return True


SCORE = Score(
    id="json_valid",
    label="valid JSON",
    about="share of answers that are JSON (RFC 8259) as a whole; a Markdown fence around it is allowed",
    range=(0, 1),
    better="higher",
    needs="answer",
    columns=columns,
    proportion=True,
)
