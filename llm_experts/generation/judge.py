"""Who judges a draft's answer."""

from __future__ import annotations

from llm_experts.data.error import DataError
from llm_experts.families.family import Family
from llm_experts.families.listed import listed_answers
from llm_experts.families.registry import family_named, family_of
from llm_experts.generation.draft import Draft
from llm_experts.generation.spec import DataSpec


def judge_of(draft: Draft, spec: DataSpec) -> Family | None:
    """The family that the draft says it is of, else that of its topic; None where there is none of that name."""
    try:
        named = family_of(draft.example)
        return named or family_named(next(topic.family for topic in spec.topics if topic.name == draft.topic))
    except (DataError, StopIteration):
        return None


def answers_of(draft: Draft, spec: DataSpec, seed: int) -> tuple[str, ...]:
    """The draft's listed answers, the right one first; empty where none can be listed."""
    family = judge_of(draft, spec)
    if family is None:
        return ()
    try:
        found = listed_answers(family, draft.example, seed=seed)
    except DataError:  # no completion, nothing wrong that is plausible, or facts that its checker needs are missing
        return ()
    return found if len(found) > 1 else ()
