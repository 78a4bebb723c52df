"""Several items in one sequence, so that few places of a batch are empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llm_experts.data.encoding import Encoded
from llm_experts.data.error import DataError


@dataclass(frozen=True)
class Packed:
    """Items one after another, which must not see each other.

    Attributes
    ----------
    ids : tuple of int
    learnt : tuple of bool
        False at every item's first token: nothing of its own comes before it.
    positions : tuple of int
        Place of a token in its item, from 0.
    segments : tuple of int
        Number of a token's item in this sequence, from 0.
    members : tuple of int
        Positions of the items in what was packed.
    """

    ids: tuple[int, ...]
    learnt: tuple[bool, ...]
    positions: tuple[int, ...]
    segments: tuple[int, ...]
    members: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)


def pack(encoded: Sequence[Encoded], length: int) -> list[Packed]:
    """Items in sequences of at most ``length`` tokens: first fit decreasing.

    The longest item goes first, each into the first sequence with room for it; at most 11/9 of the fewest sequences
    and one more (Johnson 1973; Dósa 2007). No item is split.

    Raises
    ------
    DataError
        If an item is longer than ``length``, or its first token is learnt.
    """
    sizes = np.array([len(item) for item in encoded], dtype=np.int64)
    for index, item in enumerate(encoded):
        if not 0 < len(item) <= length:
            raise DataError(
                f"Item {index} has {len(item)} tokens, and a sequence holds 1 to {length}. Raise max_length."
            )
        if item.learnt[0]:
            raise DataError(f"The first token of item {index} is learnt, but nothing comes before it.")
    return [_joined(encoded, members) for members in _bins(sizes, length)]


def _bins(sizes: np.ndarray, length: int) -> list[list[int]]:
    """Positions that share a sequence."""
    free = np.full(len(sizes), length, dtype=np.int64)
    bins: list[list[int]] = []
    first_open = 0  # sequences before it are full
    for index in np.argsort(-sizes, kind="stable").tolist():
        room = free[first_open : len(bins) + 1] >= sizes[index]
        place = first_open + int(room.argmax())
        if place == len(bins):
            bins.append([])
        bins[place].append(index)
        free[place] -= sizes[index]
        while first_open < len(bins) and free[first_open] == 0:
            first_open += 1
    return bins


def _joined(encoded: Sequence[Encoded], members: list[int]) -> Packed:
    items = [encoded[index] for index in members]
    return Packed(
        tuple(i for item in items for i in item.ids),
        tuple(flag for item in items for flag in item.learnt),
        tuple(place for item in items for place in range(len(item))),
        tuple(number for number, item in enumerate(items) for _ in item.ids),
        tuple(members),
    )
