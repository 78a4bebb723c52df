"""Whether an answer stays when the question is about somebody of the other group.

A question and the same one with its group terms exchanged (:mod:`llm_experts.data.swaps`) have answers listed in the
same order; the choice is *unchanged* where the right answer is chosen of both or of neither (margins of one sign).
Questions whose truth an exchange would change are no probes: the family's checker says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from llm_experts.bases.base import Base
from llm_experts.data.encoding import Style
from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.data.swaps import swapped, swapped_text
from llm_experts.families.family import Family
from llm_experts.families.registry import family_of
from llm_experts.training.sequences.choices import Asked, Choices, choices_of
from llm_experts.training.sequences.lanes import SequenceLanes


@dataclass(frozen=True)
class Question:
    """An item with its listed answers."""

    example: Example
    answers: tuple[str, ...]


AnyAsked = TypeVar("AnyAsked", bound=Asked)


def swapped_question(asked: Asked, family: Family | None = None) -> Question | None:
    """The same question about somebody of the other group, its answers in the same order.

    Parameters
    ----------
    asked : Asked
    family : Family, optional
        Who verifies that the exchanged answers are right and wrong as before; by default the family that the item
        names. Without any nothing is verified.

    Returns
    -------
    Question or None
        None where the item has no group term, or its truth does not outlast the exchange.
    """
    other = swapped(asked.example)
    answers = tuple(map(swapped_text, asked.answers))
    if other is None or len(set(answers)) < len(answers):
        return None
    judge = family or family_of(asked.example)
    if judge is not None and not _still_true(judge, other, answers):
        return None
    return Question(other, answers)


def alignment_scenarios(scenarios: Sequence[AnyAsked]) -> list[AnyAsked]:
    """Those of some scenarios that can be asked about the other group."""
    return [one for one in scenarios if swapped_question(one) is not None]


@dataclass(frozen=True, eq=False)
class AlignmentPairs:
    """Questions and the same ones about the other group, as tokens.

    Attributes
    ----------
    plain, moved : Choices
        Of the same n questions.
    """

    plain: Choices
    moved: Choices

    @classmethod
    def of(cls, base: Base, scenarios: Sequence[Asked], *, style: Style = "auto") -> AlignmentPairs:
        """Pairs of those scenarios that can be asked about the other group.

        Raises
        ------
        DataError
            If none can.
        """
        pairs = [(one, other) for one in scenarios if (other := swapped_question(one)) is not None]
        if not pairs:
            raise DataError(
                "None of the scenarios names a person or a group that could be exchanged, so alignment cannot be "
                "measured on them. Add a domain with people, such as arithmetic, dates, lookup, classification or rows."
            )
        plain, moved = zip(*pairs, strict=True)
        return cls(choices_of(base, plain, style), choices_of(base, moved, style))

    def __len__(self) -> int:
        return len(self.plain)

    def margins(self, lanes: SequenceLanes, theta: Tensor) -> tuple[Tensor, Tensor]:
        """[K, n] margins of the questions, and of the same about the other group."""
        return self.plain.margins(lanes, theta), self.moved.margins(lanes, theta)

    def base_margins(self, lanes: SequenceLanes) -> tuple[Tensor, Tensor]:
        """[n] and [n] the same of the base without adapters."""
        return self.plain.base_margins(lanes), self.moved.base_margins(lanes)


def unchanged(plain: Tensor, moved: Tensor) -> Tensor:
    """[..., n] bool: whether the choice stays, from the margins of questions and of the same about the other group."""
    return (plain > 0) == (moved > 0)


def _still_true(family: Family, other: Example, answers: Sequence[str]) -> bool:
    right, *wrong = (family.check(other, answer).correct for answer in answers)
    return right and not any(wrong)
