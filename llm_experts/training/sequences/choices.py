"""Which of its listed answers a model finds likeliest: for items whose answers are known beforehand.

Of answers a_0 (the right one) … a_m of an item the probability p = P(a_0) / Σ P(a_j) is the one with which a model that
may only say one of them says the right one. Its logit is the item's *margin*; the choice is right where it is above 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llm_experts.bases.base import Base
from llm_experts.data.encoding import Style, encode
from llm_experts.data.example import Example
from llm_experts.prompts.batches import length_batches
from llm_experts.training.sequences.batch import Item, Row, collate
from llm_experts.training.sequences.lanes import SequenceLanes

BATCH_TOKENS = 2048
"""Tokens of a batch, padding included."""


@dataclass(frozen=True, eq=False)
class Choices:
    """Items with their listed answers as tokens.

    Attributes
    ----------
    base : Base
    texts : tuple of Item
        One per answer, item after item; ``Item.row`` is the item's number.
    places : [n, a] int64
        Where an item's answers are among ``texts``, the right one first; -1 where it has fewer.
    """

    base: Base
    texts: tuple[Item, ...]
    places: Tensor

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
        texts: list[Item] = []
        places = torch.full((len(examples), max(map(len, answers))), -1)
        for row, (example, told) in enumerate(zip(examples, answers, strict=True)):
            for place, answer in enumerate(told):
                places[row, place] = len(texts)
                found = encode(example, base, max_length=longest, style=style, completion=answer)
                texts.append(Item(row, (example,), (Row.of(found.ids, found.learnt),)))
        return cls(base, tuple(texts), places)

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

    @torch.no_grad()
    def _placed(self, lanes: SequenceLanes, theta: Tensor | None) -> Tensor:
        count = 1 if theta is None else len(lanes)
        found = torch.full((count, len(self.texts) + 1), -torch.inf, dtype=torch.float64)  # the last: no answer
        order = sorted(range(len(self.texts)), key=lambda place: (self.texts[place].length, place))
        for part in length_batches([self.texts[place].length for place in order], BATCH_TOKENS):
            rows = order[part]
            batch = collate([[self.texts[place] for place in rows]], self.base.device)
            each = lanes.base_logprobs(batch)[None] if theta is None else lanes.token_logprobs(theta, batch)
            found[:, rows] = each.sum(-1).double().cpu()
        return found[:, self.places]


@torch.no_grad()
def own_logprobs(each: Sequence[Choices], lanes: SequenceLanes, theta: Tensor) -> list[Tensor]:
    """Of every lane's own choices the log-probabilities [n, a] float64, all lanes in one pass.

    The longest texts of all lanes are read together, then the next ones, whatever items they belong to.

    Parameters
    ----------
    each : sequence of Choices
        By lane.
    lanes : SequenceLanes
    theta : [K, P]
    """
    if all(own is each[0] for own in each):
        return list(each[0].logprobs(lanes, theta))
    orders = [sorted(range(len(own.texts)), key=lambda at, own=own: (own.texts[at].length, at)) for own in each]  # type: ignore[misc]
    most = max(map(len, orders))
    orders = [[-1] * (most - len(order)) + order for order in orders]
    widths = [
        max(own.texts[at].length for own, at in zip(each, row, strict=True) if at >= 0)
        for row in zip(*orders, strict=True)
    ]
    found = [torch.full((len(own.texts) + 1,), -torch.inf, dtype=torch.float64) for own in each]
    for part in length_batches(widths, max(1, BATCH_TOKENS // len(each))):
        rows = [[at for at in order[part] if at >= 0] for order in orders]
        batch = collate([[own.texts[at] for at in row] for own, row in zip(each, rows, strict=True)], lanes.base.device)
        told = lanes.token_logprobs(theta, batch).sum(-1).double().cpu()
        for own, row, values in zip(found, rows, told, strict=True):
            own[row] = values[: len(row)]
    return [own[choices.places] for own, choices in zip(found, each, strict=True)]


def margins_of(logprobs: Tensor) -> Tensor:
    """[..., n] log-odds of the first of answers [..., n, a] against the others."""
    return logprobs[..., 0] - logprobs[..., 1:].logsumexp(-1)
