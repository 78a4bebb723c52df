"""What goes into a decoder and comes out: where tokens stand, their states, their keys and values, the answers."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from llm_experts.prompts.prompts import Packed

Scope = Literal["full", "suffix"]
"""What adapters act on: whole texts, or the end behind the row, the question and its answers."""


class Layout(NamedTuple):
    """Where the tokens of packed prompts stand.

    Attributes
    ----------
    positions : [n, T] int64
    segment : [n, T] int8
        0 shared text, 1 and 2 the tails with the two orders of the options, -1 padding.
    answers : [n, 2] int64
        Index of the last token of each tail.
    """

    positions: Tensor
    segment: Tensor
    answers: Tensor

    @classmethod
    def of(cls, packed: Packed, device: torch.device | None = None) -> Layout:
        """The layout of packed prompts, on a device."""
        return cls(packed.positions.to(device), packed.segment.to(device), packed.answers.to(device))

    def shifted(self, count: int) -> Layout:
        """The layout behind ``count`` virtual tokens that all texts share."""
        shared = self.segment.new_zeros((len(self.segment), count))
        ahead = torch.arange(count, device=self.positions.device).expand(len(self.positions), -1)
        return Layout(
            torch.cat([ahead, self.positions + count], 1), torch.cat([shared, self.segment], 1), self.answers + count
        )

    def allowed(self) -> Tensor:
        """[n, 1, T, T] bool: whether token i sees token j: causal, and a tail sees what is shared and itself.

        No text sees padding; padding sees itself too, so that a softmax is finite.
        """
        length = self.segment.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=self.segment.device).tril()
        seen, asking = self.segment[:, None, :], self.segment[:, :, None]
        own = torch.eye(length, dtype=torch.bool, device=self.segment.device)
        return ((causal & ((seen == 0) | (seen == asking)) & (seen >= 0)) | own)[:, None]

    def allowed_to_answers(self) -> Tensor:
        """[n, 2, T] bool: what the answer token of each tail sees."""
        tails = torch.tensor([1, 2], dtype=self.segment.dtype, device=self.segment.device)
        return (self.segment[:, None] == 0) | (self.segment[:, None] == tails[None, :, None])


class Tails(NamedTuple):
    """Where the ends of texts stand whose beginnings were read by the base: keys and values of those are at hand.

    Attributes
    ----------
    seen : [n, P] bool
        Which of the earlier tokens a text has, each seen by all tokens of its end.
    layout : Layout
        Of the ends; answers count from their first token.
    """

    seen: Tensor
    layout: Layout

    @property
    def reach(self) -> int:
        """Earlier tokens, padding included."""
        return self.seen.shape[1]

    def past(self, pair: Pair) -> Pair:
        """Keys and values of the earlier tokens: they are each text's own already."""
        return pair

    def allowed(self) -> Tensor:
        """[n, 1, S, P + S] bool: what each token sees of the beginning and of the end."""
        own = self.layout.allowed()
        return torch.cat([self.seen[:, None, None].expand(-1, 1, own.shape[2], -1), own], -1)

    def allowed_to_answers(self) -> Tensor:
        """[n, 2, P + S] bool: what the answer tokens see."""
        return torch.cat([self.seen[:, None].expand(-1, 2, -1), self.layout.allowed_to_answers()], -1)


class Pair(NamedTuple):
    """Keys (rotated) and values of one layer, each [n, kv_heads, T, head_dim]."""

    keys: Tensor
    values: Tensor

    def behind(self, past: Pair | None) -> Pair:
        """These tokens behind earlier ones."""
        return self if past is None else Pair(*(torch.cat(both, 2) for both in zip(past, self, strict=True)))

    def with_prefix(self, prefix: Tensor | None) -> Pair:
        """These tokens behind learnt keys and values [2, kv_heads, p, head_dim] that all texts share."""
        return self if prefix is None else self.behind(Pair(*prefix[:, None].expand(-1, len(self.keys), -1, -1, -1)))


class Answers(NamedTuple):
    """What the answer tokens of n prompts say.

    Attributes
    ----------
    logits : [n, 2, 2] float32
        Order of the options × (no, yes).
    pooled : [n, d]
        Final hidden state of the answer tokens, mean over the orders.
    attention : [n, T]
        Attention of the answer tokens in the last layer, mean over heads and orders; sums to 1 over a whole text.
    final : [n, 2, d]
        Final hidden state of the answer token, by the order of the options.
    pairs : tuple of Pair
        Keys and values of every layer, where they were asked for.
    """

    logits: Tensor
    pooled: Tensor
    attention: Tensor
    final: Tensor
    pairs: tuple[Pair, ...] = ()

    @property
    def margin(self) -> Tensor:
        """[n] log-odds of yes against no, mean over the orders."""
        return (self.logits[..., 1] - self.logits[..., 0]).mean(-1)


class TopInput(NamedTuple):
    """What enters the top for n texts, cut to the longest of them.

    Attributes
    ----------
    hidden : [n, T, d]
    layout : Layout or Tails
    columns : [n, T] int16
        Index of the view column that a token belongs to, -1 none; of tails [n, P + T], earlier tokens first.
    past : tuple of Pair
        Of tails: what the base itself found of the P earlier tokens, by layer.
    """

    hidden: Tensor
    layout: Layout | Tails
    columns: Tensor
    past: tuple[Pair, ...] = ()

    @property
    def lengths(self) -> Tensor:
        """[n] tokens of each text, or of its end, on the CPU."""
        at = self.layout if isinstance(self.layout, Layout) else self.layout.layout
        return at.answers[:, 1].cpu() + 1

    def texts(self, index: Tensor) -> TopInput:
        """Some of the texts, padded no more than they need behind their end."""
        at = self.layout if isinstance(self.layout, Layout) else self.layout.layout
        width, before = int(at.answers[index, 1].max()) + 1, self.columns.shape[1] - self.hidden.shape[1]
        own = Layout(at.positions[index, :width], at.segment[index, :width], at.answers[index])
        return TopInput(
            self.hidden[index, :width],
            own if isinstance(self.layout, Layout) else Tails(self.layout.seen[index], own),
            self.columns[index, : before + width],
            tuple(Pair(*(part[index] for part in pair)) for pair in self.past),
        )
