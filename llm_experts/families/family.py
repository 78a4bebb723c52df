"""What a family of language tasks is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from llm_experts.data.example import Example

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Verdict:
    """What a checker says of an answer.

    Attributes
    ----------
    correct : bool
    reason : str
        Why not, in a few words; "" where it is correct.
    """

    correct: bool
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family of tasks: where its items come from, and how an answer is judged.

    Attributes
    ----------
    name : str
        Word in commands and files; that of the family's file.
    label, about : str
        Name for people, and what is asked in one line.
    scores : tuple of str
        Ids of the scores of an examination (:mod:`llm_experts.evaluation`), the main one first.
    longest_answer : int
        Most tokens that an answer needs.
    make : callable
        ``make(part, count, seed, difficulty) -> examples``: the same arguments give the same items; items of two parts
        are never equal, whatever the seeds and counts. A published set draws from its files. ``difficulty`` in [0, 1]
        or None, for a mix of all.
    check : callable
        ``check(example, answer) -> Verdict``; an answer is any text, and no text makes it fail.
    reward : callable, optional
        ``reward(example, answer)`` in [0, 1] where there is more to say than correct or not; None: 1 if correct.
    published : bool
        Whether items come from a published set, of which there are only so many.
    """

    name: str
    label: str
    about: str
    scores: tuple[str, ...]
    longest_answer: int
    make: Callable[[Part, int, int, float | None], Sequence[Example]]
    check: Callable[[Example, str], Verdict]
    reward: Callable[[Example, str], float] | None = None
    published: bool = False

    def reward_of(self, example: Example, answer: str) -> float:
        """Reward in [0, 1] of an answer."""
        if self.reward is not None:
            return self.reward(example, answer)
        return float(self.check(example, answer).correct)
