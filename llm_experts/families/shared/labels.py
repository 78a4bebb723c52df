"""Whether an answer names the label of an item."""

from __future__ import annotations

from llm_experts.data.example import Example
from llm_experts.families.family import Verdict
from llm_experts.families.shared.answers import label_in


def check_label(example: Example, answer: str) -> Verdict:
    """Whether an answer states ``facts["label"]``, of those in ``facts["labels"]``."""
    said, wanted = label_in(answer, example.facts["labels"]), example.facts["label"]
    if said is None:
        return Verdict(False, "it states no label")
    return Verdict(True) if said == wanted else Verdict(False, f"{said} is not {wanted}")
