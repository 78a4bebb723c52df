"""Answers that can be listed: their texts, tokens and rewards, for items whose every answer is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from llm_experts.bases.base import Base
from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.training.loop.settings import Settings
from llm_experts.training.sequences.answers import answer_rows, text_sums
from llm_experts.training.sequences.batch import Batch, Item

FAR = -1e9
"""Log-probability of an answer that a shorter list does not have: none that is there is as unlikely, however long."""


@dataclass(frozen=True)
class Listed:
    """The answers of one item.

    Attributes
    ----------
    texts : tuple of str
    items : tuple of Item
        Rows of tokens: the prompt, and answers behind it.
    places : tuple of (int, int)
        Of every answer: which of these, and the number of the text in it.
    rewards : tuple of float
    """

    texts: tuple[str, ...]
    items: tuple[Item, ...]
    places: tuple[tuple[int, int], ...]
    rewards: tuple[float, ...]


class AnswerList:
    """Makes the lists, each once.

    Parameters
    ----------
    base, settings
        How prompts and answers become tokens.
    answers : sequence of str
        Of all items; empty: those that an item's ``facts`` give.
    key : str
        Where in ``facts`` they are.
    """

    def __init__(self, base: Base, settings: Settings, answers: Sequence[str], key: str) -> None:
        self._base, self._settings, self._answers, self._key = base, settings, tuple(answers), key
        self._kept: dict[tuple[int, int], Listed] = {}

    def of(self, example: Example, lane: int, judge: Callable[[Example, str], float]) -> Listed:
        """The answers of an item with their rewards for a lane.

        Raises
        ------
        DataError
            If the item lists none, or fewer than two.
        """
        key = (id(example), lane)
        if key not in self._kept:
            self._kept[key] = self._make(example, judge)
        return self._kept[key]

    def _make(self, example: Example, judge: Callable[[Example, str], float]) -> Listed:
        given = self._answers or example.facts.get(self._key) or ()
        texts = tuple(dict.fromkeys(str(text) for text in given)) if not isinstance(given, str) else ()
        if len(texts) < 2:
            raise DataError(
                f"Item {example.id!r} does not list its answers: facts[{self._key!r}] must be a list of at least two "
                "texts. Name the place with the option labels, give answers for all items, or learn from generated "
                "answers (estimate=rloo)."
            )
        settings = self._settings
        found = answer_rows(example, self._base, texts, max_length=settings.max_length, style=settings.style)
        items = tuple(Item(0, (example,), (row,)) for row in found.rows)
        rewards = torch.tensor([judge(example, text) for text in texts])
        if not bool(rewards.isfinite().all()):
            raise DataError(f"Item {example.id!r}: the reward of an answer is not a finite number.")
        return Listed(texts, items, found.places, tuple(rewards.tolist()))


def answer_sums(tokens: Tensor, batch: Batch, listed: Sequence[Sequence[Listed]]) -> Tensor:
    """[K, m] sums of values of tokens [..., b, t] over all listed answers, item after item.

    Parameters
    ----------
    tokens : [K, b, t] or [b, t]
    batch : Batch
        Of the items of the lists, in order.
    listed : sequence of sequences of Listed
        By lane.
    """
    width = 1 + max(text for lane in listed for entry in lane for _, text in entry.places)
    sums = text_sums(tokens, batch.segments, width).flatten(-2)
    places = []
    for lane in listed:
        starts = accumulate((len(entry.items) for entry in lane), initial=0)
        found = [
            (at + row) * width + text for entry, at in zip(lane, starts, strict=False) for row, text in entry.places
        ]
        places.append(torch.tensor(found, dtype=torch.int64))
    index = torch.nn.utils.rnn.pad_sequence(places, batch_first=True).to(sums.device)
    return sums.expand(len(listed), sums.shape[-1]).gather(-1, index)


def by_answer(values: Tensor, listed: Sequence[Sequence[Listed]], filler: float = FAR) -> Tensor:
    """[K, n, a] of values [K, m] of all listed answers, item after item; ``filler`` where there is none."""
    counts = [[len(entry.texts) for entry in lane] for lane in listed]
    most, n = max(max(lane, default=0) for lane in counts), max(len(lane) for lane in counts)
    place = torch.full((len(listed), n, most), values.shape[-1])
    for lane, lengths in enumerate(counts):
        start = 0
        for at, length in enumerate(lengths):
            place[lane, at, :length] = torch.arange(start, start + length)
            start += length
    whole = torch.nn.functional.pad(values.expand(len(listed), values.shape[-1]), (0, 1), value=filler)
    return whole.gather(-1, place.flatten(1).to(values.device)).view(place.shape)
