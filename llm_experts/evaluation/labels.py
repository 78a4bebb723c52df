"""Labels of a classification set, and which one an answer names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from llm_experts.evaluation.score import Answered
from llm_experts.evaluation.texts import normalised


def labels_of(items: Sequence[Answered]) -> tuple[str, ...]:
    """Labels of a set, normalised and sorted: those that its items list (``facts["labels"]``), else its completions."""
    listed = {normalised(str(label)) for item in items for label in item.example.facts.get("labels", ())}
    return tuple(sorted(listed or {normalised(item.example.completion) for item in items}))


def label_in(answer: str, labels: Sequence[str]) -> str | None:
    """The label that an answer is, or begins with as a whole word; None if it names none.

    Of two labels that it begins with the longer one counts ("not guilty" before "not").
    """
    text = normalised(answer)
    if text in labels:
        return text
    found = [label for label in labels if re.match(rf"{re.escape(label)}(?!\w)", text)]
    return max(found, key=len, default=None)


def needs_label(item: Answered) -> str:
    """Why an item cannot be counted among those of a label."""
    right = normalised(item.example.completion)
    listed = [normalised(str(label)) for label in item.example.facts.get("labels", ())]
    if not item.example.completion.strip():
        return "it has no completion, which is its label"
    return "" if not listed or right in listed else f"its completion {right!r} is none of its labels"
