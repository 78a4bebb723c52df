"""Accuracy: the answer names the right label."""

from __future__ import annotations

from collections.abc import Sequence

from llm_experts.evaluation.labels import label_in, labels_of, needs_label
from llm_experts.evaluation.score import Answered, Array, Score, per_item
from llm_experts.evaluation.texts import normalised


def columns(items: Sequence[Answered]) -> Array:
    """[n, 2]: whether the label of the answer is that of the completion, and 1."""
    labels = labels_of(items)
    return per_item([label_in(item.answer, labels) == normalised(item.example.completion) for item in items])


SCORE = Score(
    id="accuracy",
    label="accuracy",
    about="share of answers that state the right label of the set; an answer that states none is wrong",
    range=(0, 1),
    better="higher",
    needs="answer",
    columns=columns,
    proportion=True,
    refuses=needs_label,
)
