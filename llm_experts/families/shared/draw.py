"""Chance that falls alike on every machine and with every release of Python."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")


class Draw:
    """Draws of a seed, all made from ``Random.random``, the one stream that Python promises to keep.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int) -> None:
        self.share = Random(seed).random
        """A number in [0, 1)."""

    def below(self, count: int) -> int:
        """A whole number from 0 to ``count`` − 1."""
        return int(self.share() * count)

    def between(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return low + int(self.share() * (high - low + 1))

    def chance(self, share: float) -> bool:
        """True in this share of draws."""
        return self.share() < share

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[int(self.share() * len(items))]

    def sample(self, items: Sequence[Item], count: int) -> list[Item]:
        """``count`` different ones of the items, in drawn order.

        Raises
        ------
        ValueError
            If there are fewer items.
        """
        if count > len(items):
            raise ValueError(f"{count} of {len(items)} items cannot be drawn.")
        share, pool = self.share, list(items)
        for index in range(count):
            other = index + int(share() * (len(pool) - index))
            pool[index], pool[other] = pool[other], pool[index]
        return pool[:count]
