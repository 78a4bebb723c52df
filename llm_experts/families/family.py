"""What a family of language tasks is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from llm_experts.data.error import DataError
from llm_experts.data.example import Example

Part = Literal["train", "validation", "test"]
Found = TypeVar("Found")


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
        ``check(example, answer) -> Verdict``; an answer is any text, and no text makes it fail. An item without the
        facts that a check needs is refused by :class:`~llm_experts.data.error.DataError`.
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "check", self._with_facts(self.check))
        if self.reward is not None:
            object.__setattr__(self, "reward", self._with_facts(self.reward))

    def _with_facts(self, judge: Callable[[Example, str], Found]) -> Callable[[Example, str], Found]:
        def judged(example: Example, answer: str) -> Found:
            try:
                return judge(example, answer)
            except KeyError as error:
                if error.args[0] in example.facts:
                    raise
                raise DataError(
                    f"Item {example.id!r} cannot be judged by the family {self.name}: its facts lack "
                    f"{error.args[0]!r}. Let the family judge items that 'fairmoe llm dataset generate' made, or judge "
                    "these by another one or by their completions."
                ) from error

        return judged

    def reward_of(self, example: Example, answer: str) -> float:
        """Reward in [0, 1] of an answer."""
        if self.reward is not None:
            return self.reward(example, answer)
        return float(self.check(example, answer).correct)
