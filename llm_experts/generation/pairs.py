"""Pairs to learn a preference from: verified answers, and refuted ones beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.families.family import Family
from llm_experts.families.wrong import with_rejected
from llm_experts.generation.draft import Draft
from llm_experts.generation.judge import judge_of
from llm_experts.generation.spec import DataSpec


def pairs_of(
    drafts: Sequence[Draft], spec: DataSpec, seed: int, said: Mapping[str, Sequence[str]] | None = None
) -> list[Example]:
    """Accepted items as pairs, their answers preferred, in order.

    Rejected is the first answer of a model to the item that its family refutes, else one that is made
    (:func:`llm_experts.families.wrong.wrong_answer`). Items that come with a rejected answer keep it; an item of which
    nothing wrong can be made is left out.

    Parameters
    ----------
    drafts : sequence of Draft
        Whose answers are verified.
    spec : DataSpec
    seed : int
    said : mapping, optional
        Answers of models by id of the item.
    """
    made = (
        _pair(draft.example, judge_of(draft, spec), seed, (said or {}).get(draft.example.id, ())) for draft in drafts
    )
    return [pair for pair in made if pair is not None]


def _pair(example: Example, family: Family | None, seed: int, said: Sequence[str]) -> Example | None:
    if example.rejected is not None or family is None:
        return example if example.rejected is not None else None
    for answer in said:
        if answer.strip() and not family.check(example, answer).correct:
            return Example(example.id, example.prompt, example.completion, answer, example.facts)
    try:
        return with_rejected(family, example, seed)
    except DataError:
        return None
