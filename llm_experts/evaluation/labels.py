"""Labels of a classification set, and which one an answer names."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from llm_experts.evaluation.score import Answered
from llm_experts.evaluation.texts import normalised
from llm_experts.families.shared.answers import label_in as stated_label


def labels_of(items: Sequence[Answered]) -> tuple[str, ...]:
    """Labels of a set, normalised and sorted: those that its items list (``facts["labels"]``), else its completions."""
    listed = {normalised(str(label)) for item in items for label in item.example.facts.get("labels", ())}
    return tuple(sorted(listed or {normalised(item.example.completion) for item in items}))


def label_in(answer: str, labels: Sequence[str]) -> str | None:
    """The label that an answer is, or states as families' checkers read it; None if it states none.

    Parameters
    ----------
    answer : str
    labels : sequence of str
        Normalised.
    """
    text = normalised(answer)
    return text if text in labels else stated_label(unicodedata.normalize("NFKC", answer), labels)


def needs_label(item: Answered) -> str:
    """Why an item cannot be counted among those of a label."""
    right = normalised(item.example.completion)
    listed = [normalised(str(label)) for label in item.example.facts.get("labels", ())]
    if not item.example.completion.strip():
        return "it has no completion, which is its label"
    return "" if not listed or right in listed else f"its completion {right!r} is none of its labels"
