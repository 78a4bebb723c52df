"""Items of a family that is generated: seeded, unique, of any number, its parts apart by construction.

Whose part an item is follows from a hash of its *content*, never from the seed or the count: of eight equal shares of
all contents, training owns six, validation one and the examination one. The content is what a question asks, without
the words that only dress it (whose apples they are), so that no part's question comes back in other words in another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple, get_args

from foundation.seeding import derive_seed
from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.families.family import Part
from llm_experts.families.shared.draw import Draw

SHARES: tuple[Part, ...] = ("train",) * 6 + ("validation", "test")
"""Whose each eighth of all contents is."""
PATIENCE = 20_000
"""Draws in a row that bring nothing new before a family is said to have no more."""


class Made(NamedTuple):
    """One item as a family draws it.

    Attributes
    ----------
    prompt, completion : str
    content : str
        What makes it this question and no other; names its part.
    facts : mapping
        What the checker needs.
    """

    prompt: str
    completion: str
    content: str
    facts: Mapping[str, Any]


def part_of(content: str) -> Part:
    """Whose an item with this content is."""
    return SHARES[blake2b(content.encode(), digest_size=1).digest()[0] % len(SHARES)]


class Generated:
    """A family's ``make``: see :class:`~llm_experts.families.family.Family`.

    Parameters
    ----------
    name : str
        The family's name; its items carry it in ``facts["family"]``.
    draw_item : callable
        ``draw_item(draw, difficulty) -> Made``, with the difficulty in [0, 1].
    """

    def __init__(self, name: str, draw_item: Callable[[Draw, float], Made]) -> None:
        self._name, self._draw_item = name, draw_item

    def __call__(self, part: Part, count: int, seed: int = 0, difficulty: float | None = None) -> list[Example]:
        """The first ``count`` items.

        Raises
        ------
        DataError
            If there are not so many.
        """
        _check(part, count, difficulty)
        examples = list(islice(self.walk(part, seed, difficulty), count))
        if len(examples) < count:
            raise DataError(
                f"The family {self._name} has no {count} different items of the part {part} at difficulty "
                f"{difficulty}: after {len(examples)} no new one was found. Ask for fewer, or for another difficulty."
            )
        return examples

    def walk(self, part: Part, seed: int = 0, difficulty: float | None = None) -> Iterator[Example]:
        """The items one after the other; they end where nothing new comes in :data:`PATIENCE` draws."""
        _check(part, 0, difficulty)
        draw = Draw(
            derive_seed(seed, "family", self._name, part, repr(None if difficulty is None else float(difficulty)))
        )
        seen: set[str] = set()
        idle = 0
        while idle <= PATIENCE:
            made = self._draw_item(draw, draw.share() if difficulty is None else difficulty)
            if part_of(made.content) != part or made.prompt in seen:
                idle += 1
                continue
            idle = 0
            seen.add(made.prompt)
            yield _example(self._name, made)


generated = Generated
"""As families write it: ``make=generated("dates", _draw)``."""


def _example(name: str, made: Made) -> Example:
    """Named by what it says: the same item has the same id in every set."""
    return Example(item_id(name, made.prompt), made.prompt, made.completion, facts={"family": name, **made.facts})


def item_id(family: str, prompt: str) -> str:
    """The id of an item of a family: of what it says."""
    return f"{family}-{blake2b(prompt.encode(), digest_size=8).hexdigest()}"


def _check(part: str, count: int, difficulty: float | None) -> None:
    if part not in get_args(Part):
        raise DataError(f"There is no part {part!r}; parts are {', '.join(get_args(Part))}.")
    if count < 0:
        raise DataError(f"{count} items cannot be made; give a number of at least 0.")
    if difficulty is not None and not 0 <= difficulty <= 1:
        raise DataError(f"A difficulty of {difficulty} is not between 0 (easiest) and 1 (hardest).")
