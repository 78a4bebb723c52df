"""Token sequences as tensors: what a micro-batch of one or many lanes is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from llm_experts.data.example import Example
from llm_experts.prompts.batches import length_batches

PADDING, SHARED = -1, -2
"""Numbers of no text: what fills a row up, and the beginning that all texts of a row have in common."""


@dataclass(frozen=True)
class Row:
    """One row of tokens.

    Attributes
    ----------
    ids, learnt, positions, segments : tuple
        Token, whether its probability is learnt, its position in its text and the number of the text in the row. A
        beginning that all texts of the row share has the number :data:`SHARED` and stands once, ahead of them.
    """

    ids: tuple[int, ...]
    learnt: tuple[bool, ...]
    positions: tuple[int, ...]
    segments: tuple[int, ...]

    @classmethod
    def of(cls, ids: Sequence[int], learnt: Sequence[bool] | None = None) -> Row:
        """A row of one text; nothing is learnt unless it is said."""
        none = (False,) * len(ids)
        return cls(tuple(ids), none if learnt is None else tuple(learnt), tuple(range(len(ids))), (0,) * len(ids))

    @classmethod
    def branching(cls, beginning: Sequence[int], ends: Sequence[Sequence[int]]) -> Row:
        """A row of texts that begin alike, of which the ends are learnt."""
        first = len(beginning)
        return cls(
            (*beginning, *(i for end in ends for i in end)),
            (False,) * first + (True,) * sum(map(len, ends)),
            (*range(first), *(first + place for end in ends for place in range(len(end)))),
            (SHARED,) * first + tuple(number for number, end in enumerate(ends) for _ in end),
        )

    @property
    def count(self) -> int:
        """Tokens that are learnt."""
        return sum(self.learnt)


@dataclass(frozen=True)
class Item:
    """One item as its method needs it: a text, the two texts of a pair, a prompt, or several packed texts.

    Attributes
    ----------
    row : int
        Number of the example; that of the first where several are packed.
    examples : tuple of Example
    parts : tuple of Row
        One, or the preferred and the other text of a pair.
    """

    row: int
    examples: tuple[Example, ...]
    parts: tuple[Row, ...]

    @property
    def length(self) -> int:
        """Tokens of the longest part."""
        return max(len(part.ids) for part in self.parts)

    @property
    def learnt(self) -> int:
        """Tokens that are learnt."""
        return sum(part.count for part in self.parts)


@dataclass(frozen=True, eq=False)
class Batch:
    """A micro-batch: token sequences that lanes share, or each lane's own.

    Attributes
    ----------
    ids : [b, t] or [K, b, t] int64
        Of pairs the first half of the rows are the preferred texts, the second half the others, in the same order.
    learnt : bool, of the same shape
        Tokens whose probability counts; the first token of a text never is.
    positions : int64, of the same shape
    segments : int64, of the same shape
        Number of the text that a token belongs to, :data:`PADDING` (on the right), or :data:`SHARED`. Texts see what
        they share, and do not see each other.
    rows : [n] or [K, n] int64
        Numbers of the examples; -1 fills up a lane that has fewer.
    items : tuple of tuple of Item
        By lane, or one entry where lanes share them; without fillers.
    tokens, count : [1] or [K] float32
        Learnt tokens and items of the whole optimiser step, of which this batch is a part: a loss that divides sums by
        them may be added up over micro-batches.
    """

    ids: Tensor
    learnt: Tensor
    positions: Tensor
    segments: Tensor
    rows: Tensor
    items: tuple[tuple[Item, ...], ...]
    tokens: Tensor
    count: Tensor

    @property
    def shared(self) -> bool:
        """Whether lanes have the same texts."""
        return self.ids.ndim == 2

    @property
    def packed(self) -> bool:
        """Whether a row holds several texts."""
        return bool((self.segments > 0).any())

    @property
    def lengths(self) -> Tensor:
        """[b] or [K, b] int64: tokens of a row."""
        return (self.segments != PADDING).sum(-1)

    @property
    def present(self) -> Tensor:
        """[n] or [K, n] bool: rows that are items and not fillers."""
        return self.rows >= 0

    def of_lanes(self, lanes: Sequence[int]) -> Batch:
        """Some lanes of a batch that lanes do not share, without the padding that only the others need."""
        chosen = torch.tensor(lanes, device=self.device)
        filled = self.segments[chosen] != PADDING
        rows = 1 + int(filled.any(-1).any(0).nonzero().max())
        width = 1 + int(filled.any(0).any(0).nonzero().max())
        ids, learnt, positions, segments = (
            x[chosen, :rows, :width] for x in (self.ids, self.learnt, self.positions, self.segments)
        )
        return replace(self, ids=ids, learnt=learnt, positions=positions, segments=segments)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.ids.device


def whole_text(row: int, ids: Sequence[int]) -> Item:
    """Item number ``row``: a text of which every token but the first is weighed."""
    return Item(row, (), (Row.of(ids, (False, *[True] * (len(ids) - 1))),))


def by_length(items: Sequence[Item], device: torch.device, tokens: int) -> Iterator[tuple[list[int], Batch]]:
    """Items in batches of like length of at most ``tokens`` tokens, the shortest first, each with its items' places."""
    order = sorted(range(len(items)), key=lambda place: (items[place].length, place))
    for part in length_batches([items[place].length for place in order], tokens):
        yield order[part], collate([[items[place] for place in order[part]]], device)


def collate(
    lanes: Sequence[Sequence[Item]],
    device: torch.device,
    tokens: Sequence[int] | None = None,
    count: Sequence[int] | None = None,
) -> Batch:
    """A micro-batch of the items of one lane, which all lanes then share, or of each lane's own.

    Parameters
    ----------
    lanes : sequence of sequences of Item
    device : torch.device
    tokens, count : sequence of int, optional
        Of the whole step, by lane; default: of this batch.
    """
    n, parts = max(len(items) for items in lanes), len(next(item for items in lanes for item in items).parts)
    width = max(item.length for items in lanes for item in items)
    shape = (len(lanes), parts * n, width)
    ids, learnt = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.bool)
    positions, segments = torch.zeros(shape, dtype=torch.int64), torch.full(shape, PADDING)
    rows = torch.full((len(lanes), n), -1)
    for lane, items in enumerate(lanes):
        for place, item in enumerate(items):
            rows[lane, place] = item.row
            for which, part in enumerate(item.parts):
                at, end = (lane, which * n + place), len(part.ids)
                ids[at][:end], learnt[at][:end] = torch.tensor(part.ids), torch.tensor(part.learnt)
                positions[at][:end], segments[at][:end] = torch.tensor(part.positions), torch.tensor(part.segments)
    learnt &= positions > 0  # nothing stands before a text's first token that could predict it
    whole = [learnt, ids, positions, segments, rows]
    learnt, ids, positions, segments, rows = (x[0] if len(lanes) == 1 else x for x in (y.to(device) for y in whole))
    told = [sum(item.learnt for item in items) for items in lanes] if tokens is None else tokens
    told_items = [len(items) for items in lanes] if count is None else count
    return Batch(
        ids, learnt, positions, segments, rows, tuple(tuple(items) for items in lanes),
        torch.tensor(told, dtype=torch.float32, device=device).clamp_min(1),
        torch.tensor(told_items, dtype=torch.float32, device=device).clamp_min(1),
    )  # fmt: skip
