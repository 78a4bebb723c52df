"""Which items a lane learns from at which step, and in which micro-batches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from foundation.seeding import torch_generator
from llm_experts.bases.base import Base
from llm_experts.data.encoding import encode, prompt_ids
from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.data.packing import pack
from llm_experts.training.loop.method import Need
from llm_experts.training.loop.settings import Settings, SettingsError
from llm_experts.training.sequences.batch import Batch, Item, Row, collate

PACKED = ("completion", "text")
"""What of items can share a row with that of others."""
MICRO_TOKENS = {"cpu": 1 << 11, "cuda": 1 << 16}
"""Padded tokens of a micro-batch, all lanes together: what a step holds in memory goes with it, its result does not."""


def items_of(examples: Sequence[Example], base: Base, settings: Settings, need: Need) -> list[Item]:
    """The items as a method needs them.

    Raises
    ------
    DataError
        If an item does not fit, or lacks what the method needs.
    SettingsError
        If rows are to be packed of which the method needs each alone.
    """
    if settings.packing and need not in PACKED:
        raise SettingsError(
            f"packing puts several answers into one row, and {settings.method} needs each alone; leave packing out."
        )
    found = [Item(row, (example,), _parts(example, base, settings, need)) for row, example in enumerate(examples)]
    if not settings.packing:
        return found
    length = min(settings.max_length, base.context)
    packs = pack([_Encoded(item.parts[0]) for item in found], length)  # type: ignore[misc]
    return [
        Item(
            packed.members[0],
            tuple(found[member].examples[0] for member in packed.members),
            (Row(packed.ids, packed.learnt, packed.positions, packed.segments),),
        )
        for packed in packs
    ]


class _Encoded:
    """A row as packing takes it."""

    def __init__(self, row: Row) -> None:
        self.ids, self.learnt = row.ids, row.learnt

    def __len__(self) -> int:
        return len(self.ids)


def _parts(example: Example, base: Base, settings: Settings, need: Need) -> tuple[Row, ...]:
    if need == "prompt":
        ids = prompt_ids(example, base, settings.style)
        if len(ids) >= min(settings.max_length, base.context):
            raise DataError(
                f"Item {example.id!r}: its prompt has {len(ids)} tokens, which leaves no room for an answer "
                f"(max_length {settings.max_length}). Raise max_length, or leave the item out."
            )
        return (Row.of(ids),)
    answers: list[str | None] = [None]
    if need == "pair":
        if example.rejected is None:
            raise DataError(f"Item {example.id!r} has no rejected answer, and the method learns from pairs.")
        answers.append(example.rejected)
    rows = []
    for answer in answers:
        encoded = encode(example, base, max_length=settings.max_length, style=settings.style, completion=answer)
        learnt = encoded.learnt if need != "text" else (False, *[True] * (len(encoded.ids) - 1))
        rows.append(Row.of(encoded.ids, learnt))
    return tuple(rows)


class Order:
    """The steps of one lane: every epoch all items once, in an order that the seed and the epoch decide.

    Parameters
    ----------
    items : sequence of Item
    settings : Settings
    """

    def __init__(self, items: Sequence[Item], settings: Settings) -> None:
        self.items, self._seed = items, settings.seed
        each = sum(len(item.examples) for item in items) / len(items)
        self._size = max(1, round(settings.batch_size / each))
        self.per_epoch = math.ceil(len(items) / self._size)
        self.steps = settings.steps or max(1, round(settings.epochs * self.per_epoch))
        self.every = settings.evaluate_every or self.per_epoch
        self._epoch, self._places = -1, [0]

    def at(self, step: int) -> list[Item]:
        """The items of a step, from 1."""
        epoch, part = divmod(step - 1, self.per_epoch)
        if epoch != self._epoch:
            generator = torch_generator(self._seed, "order of items", epoch)
            self._epoch, self._places = epoch, torch.randperm(len(self.items), generator=generator).tolist()
        return [self.items[place] for place in self._places[part * self._size : (part + 1) * self._size]]

    def evaluates(self, step: int) -> bool:
        """Whether the lane is examined after a step."""
        return step % self.every == 0 or step == self.steps


def micro_batches(
    lanes: Sequence[Sequence[Item]], device: torch.device, *, at_least: int = 1, tokens: int | None = None
) -> list[Batch]:
    """The items of a step in micro-batches of items of like length.

    Parameters
    ----------
    lanes : sequence of sequences of Item
        One sequence: all lanes share it.
    device : torch.device
    at_least : int
        As many micro-batches, where there are as many items.
    tokens : int, optional
        Padded tokens of a micro-batch at most; at least one item of every lane. Default: :data:`MICRO_TOKENS`.
    """
    limit = MICRO_TOKENS.get(device.type, MICRO_TOKENS["cpu"]) if tokens is None else tokens
    order = [sorted(items, key=lambda item: -item.length) for items in lanes]
    most = max(len(items) for items in lanes)
    width = [max(item.length * len(item.parts) for items in order for item in items[at : at + 1]) for at in range(most)]
    fits = max(1, math.ceil(most / at_least))
    told = ([sum(item.learnt for item in items) for items in lanes], [len(items) for items in lanes])
    found, start = [], 0
    while start < most:
        size = min(fits, max(1, limit // (width[start] * len(lanes))), most - start)
        found.append(collate([items[start : start + size] for items in order], device, *told))
        start += size
    return found
