"""What a base can be good or bad at: a family of tasks at a difficulty, with items for every use that share none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.families.family import Family, Part
from llm_experts.families.listed import listed_answers
from llm_experts.families.registry import family_named

Use = Literal["capability", "training", "watching", "search", "scenarios"]
"""``capability``: what the base can do; ``training``: what experts learn from; ``watching``: what is looked at every
epoch; ``search``: what mixtures are searched on; ``scenarios``: the final examination, which nothing before it sees."""
PARTS: dict[Use, Part] = {
    "capability": "validation", "training": "train", "watching": "validation", "search": "validation",
    "scenarios": "test",
}  # fmt: skip
SHARED: tuple[Use, ...] = ("capability", "watching", "search")
"""Uses that divide one part among them: item i belongs to the use i modulo their number."""


@dataclass(frozen=True)
class Domain:
    """A domain of the capability report.

    Attributes
    ----------
    name : str
        As reports and files have it: letters, digits, hyphens.
    family : str
        Of :mod:`llm_experts.families`.
    difficulty : float or None
        Of its items.
    """

    name: str
    family: str
    difficulty: float | None = 0.0

    @property
    def judge(self) -> Family:
        """What makes and judges its items."""
        return family_named(self.family)

    def items(self, use: Use, count: int, seed: int = 0) -> list[Example]:
        """Items for a use; those of two uses are never equal, and fewer items are the first of more.

        Raises
        ------
        DataError
            If there are not so many.
        """
        every = len(SHARED) if use in SHARED else 1
        first = SHARED.index(use) if use in SHARED else 0
        made = self.judge.make(PARTS[use], count * every, seed, self.difficulty)[first::every]
        if len(made) < count:
            raise DataError(
                f"The domain {self.name} has only {len(made)} items for {use}, and {count} are asked for. Ask for "
                "fewer, or leave the domain out."
            )
        return list(made)


@dataclass(frozen=True)
class Scenario:
    """An item with answers to choose among, the right one first.

    Attributes
    ----------
    domain : str
        Name of its domain.
    example : Example
    answers : tuple of str
    """

    domain: str
    example: Example
    answers: tuple[str, ...]


def scenarios(domains: Sequence[Domain], use: Use, count: int, seed: int = 0) -> list[Scenario]:
    """``count`` scenarios of every domain, domain after domain."""
    return [
        Scenario(domain.name, example, listed_answers(domain.judge, example, seed=seed))
        for domain in domains
        for example in domain.items(use, count, seed)
    ]
