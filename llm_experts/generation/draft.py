"""An item that was made and not yet taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from llm_experts.data.example import Example
from llm_experts.generation.spec import DataSpec, Topic


@dataclass(frozen=True)
class Draft:
    """A made item.

    Attributes
    ----------
    example : Example
    topic : str
        Name of its topic.
    difficulty : float or None
        What it was asked for with.
    variant_of : str
        Id of the draft that it was made in place of; "" where it is none.
    """

    example: Example
    topic: str
    difficulty: float | None = None
    variant_of: str = ""


class Provider(Protocol):
    """Who makes items.

    Attributes
    ----------
    name : str
    """

    name: str

    def drafts(self, spec: DataSpec, topic: Topic, count: int, seed: int, start: int) -> Iterator[Draft]:
        """Drafts number ``start`` to ``start + count - 1`` of a topic, one after the other.

        The same arguments give the same drafts. Fewer come where the provider has no more, or its budget is spent.
        """
        ...

    @property
    def spent(self) -> float:
        """US dollars that it cost so far; 0 where nothing is paid."""
        ...
