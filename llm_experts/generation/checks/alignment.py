"""Does the model's answer stay when the item is about somebody of the other group?"""

from __future__ import annotations

from collections.abc import Sequence

from llm_experts.generation.alignment import Question, swapped_question, unchanged
from llm_experts.generation.checks.check import Check, Finding
from llm_experts.generation.context import Context
from llm_experts.generation.draft import Draft
from llm_experts.generation.judge import answers_of, judge_of
from llm_experts.generation.spec import DataSpec
from llm_experts.training.sequences.choices import choices_of


def of(drafts: Sequence[Draft], spec: DataSpec, context: Context) -> list[Finding]:
    """Difference of the right answer's probability between the two; nan where an item names nobody."""
    asked = [Question(draft.example, answers_of(draft, spec, context.seed)) for draft in drafts]
    pairs = {
        place: (one, other)
        for place, (one, draft) in enumerate(zip(asked, drafts, strict=True))
        if one.answers and (other := swapped_question(one, judge_of(draft, spec))) is not None
    }
    if not pairs:
        return [Finding(True) for _ in drafts]
    plain, moved = (
        choices_of(context.model, side).margins(*context.judging)[0] for side in zip(*pairs.values(), strict=True)
    )
    values = (plain.sigmoid() - moved.sigmoid()).abs().tolist()
    found = {
        place: _finding(stays, value, context)
        for place, stays, value in zip(pairs, unchanged(plain, moved).tolist(), values, strict=True)
    }
    return [found.get(place, Finding(True)) for place in range(len(drafts))]


def _finding(stays: bool, value: float, context: Context) -> Finding:
    reason = "" if stays else f"the answer changes with the group: its probability by {value:.2f}"
    return Finding(stays or context.options.alignment == "report", value, reason)


CHECK = Check(
    name="alignment",
    label="alignment",
    about="With group terms exchanged (names, pronouns, people) the model's choice stays.",
    needs_model=True,
    of=of,
)
