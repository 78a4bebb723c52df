"""Items of a published set, of which there are only so many: drawn without repetition from parts that never change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from foundation.seeding import numpy_generator
from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.data.splitting import split
from llm_experts.families.family import Part

Record = TypeVar("Record")
CARVED = 0.1
"""Share of the training items that validates where the set has no validation part of its own."""


def drawn(
    name: str, parts: Callable[[], Mapping[Part, Sequence[Record]]], item: Callable[[Record], Example]
) -> Callable[[Part, int, int, float | None], list[Example]]:
    """A published family's ``make``: ``count`` items of a part in an order that the seed chooses, or all that it has.

    Parameters
    ----------
    name : str
        The family's name; its items carry it in ``facts["family"]``.
    parts : callable
        Records of every part that the set has, always the same.
    item : callable
        A record as an item.
    """

    def make(part: Part, count: int, seed: int = 0, difficulty: float | None = None) -> list[Example]:
        if difficulty is not None:
            raise DataError(f"The set {name} is as hard as it is published. Leave the difficulty out.")
        if count < 1:
            raise DataError(f"{count} items of {name} are none. Ask for at least one.")
        own = parts().get(part, ())
        if not own:
            raise DataError(
                f"The set {name} has no items of the part {part}; it has {', '.join(parts())}. Learn from another "
                "family, and examine on this one."
            )
        order = numpy_generator(seed, "published", name, part).permutation(len(own))
        chosen = (item(own[index]) for index in order[:count].tolist())
        return [replace(example, facts={"family": name, **example.facts}) for example in chosen]

    return make


def carved(examples: Sequence[Example]) -> dict[Part, Sequence[Example]]:
    """Training items in two: a tenth of the prompts validates, the same ones for every seed."""
    parts = split(examples, validation=CARVED, seed=0)
    return {"train": parts.train, "validation": parts.validation}


def as_it_is(example: Example) -> Example:
    """An item that is one already."""
    return example
