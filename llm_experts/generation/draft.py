"""An item that was made and not yet taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

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
    fault : str
        Why it is no item at all, in a few words: what a writer sent could not be read. "" where it is one.
    """

    example: Example
    topic: str
    difficulty: float | None = None
    variant_of: str = ""
    fault: str = ""


class Provider(Protocol):
    """Who makes items.

    Attributes
    ----------
    name : str
    """

    name: str

    @property
    def identity(self) -> dict[str, Any]:
        """What its drafts depend on beside the arguments: models, items asked for at once. JSON-able."""
        ...

    @property
    def stopped(self) -> str:
        """Why the last call gave fewer drafts than were asked for: "budget", "requests"; "" where there are no more."""
        ...

    def allow(self, dollars: float | None) -> None:
        """From now on nothing is asked that could bring ``spent`` above ``dollars``; None: without bound."""
        ...

    def drafts(self, spec: DataSpec, topic: Topic, count: int, seed: int, start: int) -> Iterator[Draft]:
        """Drafts number ``start`` to ``start + count - 1`` of a topic, one after the other.

        The same arguments give the same drafts, and every number is one draft (one with a fault where nothing better
        came). Fewer come where the provider has no more, or its budget is spent.
        """
        ...

    @property
    def spent(self) -> float:
        """US dollars that the answers taken so far cost, from a cache or not; 0 where nothing is paid."""
        ...
