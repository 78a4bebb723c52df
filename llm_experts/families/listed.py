"""An item's answers as a list: the right one, and some that its family's checker refutes."""

from __future__ import annotations

from dataclasses import replace

from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.families.family import Family
from llm_experts.families.wrong import wrong_answer

LISTED = "listed"
"""Fact that holds an item's listed answers."""


def listed_answers(family: Family, example: Example, *, seed: int = 0, most: int = 4) -> tuple[str, ...]:
    """Answers to choose among: the right one first, then different ones that are verified wrong.

    An item that names its labels has all of them, whatever ``most`` says. The same arguments give the same list.

    Parameters
    ----------
    family : Family
    example : Example
        With a completion.
    seed : int
        Of the wrong ones.
    most : int
        Answers at most, at least 2.

    Raises
    ------
    DataError
        If the item has no completion, or nothing wrong can be made of it.
    """
    if most < 2:
        raise DataError(f"A choice among {most} answers is none; list at least 2.")
    labels = [str(label) for label in example.facts.get("labels", ())]
    others = [label for label in labels if not family.check(example, label).correct]
    if example.completion and others:
        return (example.completion, *dict.fromkeys(others))
    tries = (wrong_answer(family, example, seed * 1000 + attempt) for attempt in range(4 * (most - 1)))
    found: dict[str, None] = {}
    for wrong in tries:
        found.setdefault(wrong)
        if len(found) == most - 1:
            break
    return (example.completion, *found)


def with_listed(family: Family, example: Example, *, seed: int = 0, most: int = 4) -> Example:
    """The item with its :func:`listed_answers` among its facts (``listed``), for methods that learn to choose."""
    answers = list(listed_answers(family, example, seed=seed, most=most))
    return replace(example, facts={**example.facts, LISTED: answers})
