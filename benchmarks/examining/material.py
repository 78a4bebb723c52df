"""What is asked in an examination: items of a family's part or of a file, who judges them, and by which scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_experts.data.example import Example
    from llm_experts.evaluation.score import Judge, Score
    from llm_experts.families.family import Family, Part


@dataclass(frozen=True, eq=False)
class Material:
    """Items of an examination.

    Attributes
    ----------
    name : str
        Of the set, in tables and folders.
    part : str
        ``validation`` or ``test``; "" for a file.
    examples : tuple of Example
    judge : callable, optional
        The checker.
    scores : tuple of Score
        The main one first.
    longest_answer : int
        Most tokens of an answer.
    sha256 : str
        Of the items in order.
    """

    name: str
    part: str
    examples: tuple[Example, ...]
    judge: Judge | None
    scores: tuple[Score, ...]
    longest_answer: int
    sha256: str


LONGEST = 128
"""Most tokens of an answer to an item of a file whose family is not known."""


def of_family(
    name: str, part: Part, count: int, seed: int, difficulty: float | None, scores: Sequence[str] = ()
) -> Material:
    """Items of one part of a family.

    Raises
    ------
    ValueError
        If there is no such family or score.
    """
    from llm_experts.families.registry import family_named

    family = family_named(name)
    examples = tuple(family.make(part, count, seed, difficulty))
    return _material(name, part, examples, family, scores)


def of_file(path: Path, part: str, scores: Sequence[str] = (), family: str | None = None) -> Material:
    """Items of a file; ``family`` (or what all items say of themselves) judges them.

    Raises
    ------
    DataError
        If the file is damaged.
    ValueError
        If there is no such family or score.
    """
    from llm_experts.data.reading import read_examples
    from llm_experts.families.registry import common_family, family_named

    examples = tuple(read_examples(path, need="prompt"))
    return _material(
        path.name, part, examples, common_family(examples) if family is None else family_named(family), scores
    )


def _material(
    name: str, part: str, examples: tuple[Example, ...], family: Family | None, scores: Sequence[str]
) -> Material:
    from llm_experts.data.fingerprint import hash_examples
    from llm_experts.evaluation.registry import score_named

    told = tuple(dict.fromkeys(scores)) or _default(examples, family)
    return Material(
        name, part, examples, None if family is None else family.check, tuple(score_named(one) for one in told),
        LONGEST if family is None else family.longest_answer, hash_examples(examples),
    )  # fmt: skip


def _default(examples: Sequence[Example], family: Family | None) -> tuple[str, ...]:
    """Scores of a set where none are named: the family's, else those that its completions can have."""
    answered = all(example.completion.strip() for example in examples)
    likely = ("perplexity",) if answered else ()
    if family is not None:
        return tuple(dict.fromkeys((*family.scores, "correct", *likely)))
    if not answered:
        from llm_experts.evaluation.error import EvaluationError

        raise EvaluationError(
            "Items of the set have no completion, and no family judges them, so nothing can be scored. Name the family "
            "whose checker does (--judge arithmetic), or write completions."
        )
    if all("labels" in example.facts for example in examples):
        return ("accuracy", "f1", *likely)
    if all(_is_structure(example.completion) for example in examples):
        return ("json_equal", "json_valid", *likely)
    return ("exact_match", "chrf", *likely)


def _is_structure(text: str) -> bool:
    """Whether a completion is a JSON object or list."""
    from llm_experts.evaluation.texts import json_in

    try:
        return isinstance(json_in(text), dict | list)
    except ValueError:
        return False
