"""What data an expert needs: the order that a provider is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from llm_experts.data.error import DataError
from llm_experts.generation.limits import MOST_ITEMS, MOST_TOPICS

Format = Literal["completion", "chat"]
ACCEPTANCE = 0.75
"""Share of the drafts that should be accepted where a spec says nothing else."""


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One kind of items of a data set.

    Attributes
    ----------
    name : str
        As reports have it: the domain's name where a discovery asks.
    family : str
        Whose checker verifies its answers.
    difficulty : float or None
        What the provider begins with; variants move it.
    about : str
        For providers that write: what is wanted, in words; "" takes the family's own line.
    """

    name: str
    family: str
    difficulty: float | None = None
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """The data of one expert.

    Attributes
    ----------
    expert : str
    topics : tuple of Topic
        Each gives an equal share of the items.
    count : int
        Accepted items that are wanted.
    success : (float, float)
        Where an item's probability of a right answer should lie.
    zone : (float, float)
        Where the mean of that probability over the accepted set should lie.
    acceptance : float
        Share of the drafts that should be accepted; below it variants are made.
    format : {"completion", "chat"}
    requirements : tuple of str
        For providers that write, in words.
    """

    expert: str
    topics: tuple[Topic, ...]
    count: int
    success: tuple[float, float] = (0.60, 0.90)
    zone: tuple[float, float] = (0.70, 0.80)
    acceptance: float = ACCEPTANCE
    format: Format = "completion"
    requirements: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.topics or self.count < 1:
            raise DataError(f"The data of {self.expert} need at least one topic and one item.")
        if self.count > MOST_ITEMS or len(self.topics) > MOST_TOPICS:
            raise DataError(
                f"The data of {self.expert} have {len(self.topics)} topics and {_number(self.count)} items; a set has "
                f"at most {MOST_TOPICS} and {MOST_ITEMS:,}, as it is held in memory. Make several sets, each with a "
                "seed of its own."
            )

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> DataSpec:
        """The inverse of :meth:`as_dict`; the reader of files adds what is told of faults."""
        topics = tuple(Topic(**topic) for topic in given["topics"])
        pairs = {key: tuple(given[key]) for key in ("success", "zone", "requirements") if key in given}
        return cls(**{**given, **pairs, "topics": topics})


def _number(count: int) -> str:
    return f"{count:,}" if count < 10**15 else f"{count:.0e}"
