"""Which of its listed answers a model finds likeliest: for items whose answers are known beforehand.

Of answers a_0 (the right one) … a_m of an item the probability p = P(a_0) / Σ P(a_j) is the one with which a model that
may only say one of them says the right one. Its logit is the item's *margin*; the choice is right where it is above 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from llm_experts.bases.base import Base
from llm_experts.data.encoding import Style
from llm_experts.data.example import Example
from llm_experts.prompts.batches import length_batches
from llm_experts.training.sequences.answers import answer_rows, text_sums
from llm_experts.training.sequences.batch import Batch, Item, by_length, collate
from llm_experts.training.sequences.lanes import SequenceLanes

BATCH_TOKENS = 2048
"""Tokens of a batch, padding included."""


class Asked(Protocol):
    """An item with its listed answers, the right one first: a scenario of a discovery is one."""

    @property
    def example(self) -> Example:
        """The item."""
        ...

    @property
    def answers(self) -> tuple[str, ...]:
        """The right answer and wrong ones."""
        ...


@dataclass(frozen=True, eq=False)
class Choices:
    """Items with their listed answers as tokens.

    Attributes
    ----------
    base : Base
    rows : tuple of Item
        Answers behind the prompt that they share, item after item; ``Item.row`` is the item's number.
    width : int
        Most answers of a row.
    places : [n, a] int64
        Where an item's answers are among those of all rows [rows · width], the right one first; -1 where it has fewer.
    text_lengths : tuple of int
        Tokens of each answer with its prompt, item after item.
    """

    base: Base
    rows: tuple[Item, ...]
    width: int
    places: Tensor
    text_lengths: tuple[int, ...]

    @classmethod
    def of(
        cls,
        base: Base,
        examples: Sequence[Example],
        answers: Sequence[Sequence[str]],
        *,
        style: Style = "auto",
        max_length: int | None = None,
    ) -> Choices:
        """Items with their answers, the right one first.

        Raises
        ------
        ValueError
            If there is no item, or one has fewer than two answers.
        DataError
            If an answer does not fit into the base's context.
        """
        if not examples or any(len(told) < 2 for told in answers):
            raise ValueError("choices need items, and at least two answers of each")
        longest = base.context if max_length is None else max_length
        each = [
            answer_rows(example, base, told, max_length=longest, style=style)
            for example, told in zip(examples, answers, strict=True)
        ]
        width = 1 + max(text for found in each for _, text in found.places)
        places = torch.full((len(examples), max(map(len, answers))), -1)
        rows: list[Item] = []
        for number, (example, found) in enumerate(zip(examples, each, strict=True)):
            at = [(len(rows) + row) * width + text for row, text in found.places]
            places[number, : len(at)] = torch.tensor(at)
            rows.extend(Item(number, (example,), (row,)) for row in found.rows)
        return cls(base, tuple(rows), width, places, tuple(length for found in each for length in found.lengths))

    def __len__(self) -> int:
        return len(self.places)

    def logprobs(self, lanes: SequenceLanes, theta: Tensor) -> Tensor:
        """[K, n, a] float64 log-probability of every answer, its end included; -inf where an item has fewer."""
        return self._placed(lanes, theta)

    def base_logprobs(self, lanes: SequenceLanes) -> Tensor:
        """[n, a] the same of the base without adapters."""
        return self._placed(lanes, None)[0]

    def margins(self, lanes: SequenceLanes, theta: Tensor) -> Tensor:
        """[K, n] float64 log-odds of the right answer among the listed ones."""
        return margins_of(self.logprobs(lanes, theta))

    def base_margins(self, lanes: SequenceLanes) -> Tensor:
        """[n] the same of the base without adapters."""
        return margins_of(self.base_logprobs(lanes))

    def by_answer(self, tokens: Tensor, batch: Batch) -> Tensor:
        """[..., n, a] sums over answers of values [..., b, t] of tokens, -inf where an item has fewer.

        ``batch`` is of all rows, in order.
        """
        return self._picked(text_sums(tokens, batch.segments, self.width))

    def _picked(self, sums: Tensor) -> Tensor:
        """[..., n, a] of sums [..., rows, width]."""
        whole = torch.nn.functional.pad(sums.flatten(-2), (0, 1), value=-torch.inf)  # the last: no answer
        return whole[..., self.places.to(sums.device)]

    def _by_length(self) -> list[int]:
        """Rows from the shortest to the longest."""
        return sorted(range(len(self.rows)), key=lambda place: (self.rows[place].length, place))

    @torch.no_grad()
    def _placed(self, lanes: SequenceLanes, theta: Tensor | None) -> Tensor:
        count = 1 if theta is None else len(lanes)
        found = torch.zeros(count, len(self.rows), self.width, dtype=torch.float64)
        for places, batch in by_length(self.rows, self.base.device, BATCH_TOKENS):
            each = lanes.base_logprobs(batch)[None] if theta is None else lanes.token_logprobs(theta, batch)
            found[:, places] = text_sums(each, batch.segments, self.width).double().cpu()
        return self._picked(found)


@torch.no_grad()
def own_logprobs(each: Sequence[Choices], lanes: SequenceLanes, theta: Tensor) -> list[Tensor]:
    """Of every lane's own choices the log-probabilities [n, a] float64, all lanes in one pass.

    The longest rows of all lanes are read together, then the next ones, whatever items they belong to.

    Parameters
    ----------
    each : sequence of Choices
        By lane.
    lanes : SequenceLanes
    theta : [K, P]
    """
    if all(own is each[0] for own in each):
        return list(each[0].logprobs(lanes, theta))
    orders = [own._by_length() for own in each]
    most = max(map(len, orders))
    orders = [[-1] * (most - len(order)) + order for order in orders]
    widths = [
        max(own.rows[at].length for own, at in zip(each, row, strict=True) if at >= 0)
        for row in zip(*orders, strict=True)
    ]
    most_texts = max(own.width for own in each)
    found = [torch.zeros(len(own.rows), own.width, dtype=torch.float64) for own in each]
    for part in length_batches(widths, max(1, BATCH_TOKENS // len(each))):
        rows = [[at for at in order[part] if at >= 0] for order in orders]
        batch = collate([[own.rows[at] for at in row] for own, row in zip(each, rows, strict=True)], lanes.base.device)
        told = text_sums(lanes.token_logprobs(theta, batch), batch.segments, most_texts).double().cpu()
        for own, row, values in zip(found, rows, told, strict=True):
            own[row] = values[: len(row), : own.shape[1]]
    return [choices._picked(own) for own, choices in zip(found, each, strict=True)]


def choices_of(base: Base, asked: Sequence[Asked], style: Style = "auto") -> Choices:
    """Items that have their answers with them, as tokens; errors as of :meth:`Choices.of`."""
    return Choices.of(base, [one.example for one in asked], [one.answers for one in asked], style=style)


def margins_of(logprobs: Tensor) -> Tensor:
    """[..., n] log-odds of the first of answers [..., n, a] against the others."""
    return logprobs[..., 0] - logprobs[..., 1:].logsumexp(-1)
