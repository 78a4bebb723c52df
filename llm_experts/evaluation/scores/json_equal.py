"""JSON equality: the answer is the reference as data."""

from __future__ import annotations

from collections.abc import Sequence

from llm_experts.evaluation.needs import needs_json
from llm_experts.evaluation.score import Answered, Array, Score, per_item
from llm_experts.evaluation.texts import json_in
from llm_experts.families.shared.answers import same_json


def columns(items: Sequence[Answered]) -> Array:
    """[n, 2]: whether answer and completion hold the same data, and 1."""
    return per_item([_equal(item.answer, item.example.completion) for item in items])


def _equal(answer: str, reference: str) -> bool:
    try:
        return same_json(json_in(answer), json_in(reference))
    except ValueError:
        return False


SCORE = Score(
    id="json_equal",
    label="equal JSON",
    about="share of answers that hold the same data as the reference: keys in any order, 1 and 1.0 alike",
    range=(0, 1),
    better="higher",
    needs="answer",
    columns=columns,
    proportion=True,
    refuses=needs_json,
)
