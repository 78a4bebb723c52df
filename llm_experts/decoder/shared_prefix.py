"""Branches: texts that differ from a plain text in one phrase, run from that phrase on.

A causal decoder computes for the tokens before the changed phrase what it computed for the plain text. Their keys and
values are kept, in the frozen layers once and in the top once per expert, and only what follows is run. Exact up to the
rounding of sums in another order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from llm_experts.decoder.cut import (
    Answers,
    Layer,
    Layout,
    Stack,
    Top,
    _heads,
    _plain_attention,
    _with_prefix,
    answer_logits,
    decoder_of,
    rotate,
    take_tokens,
)

if TYPE_CHECKING:
    from llm_experts.prompts.prompts import Packed


class Pair(NamedTuple):
    """Keys (rotated) and values of one layer, each [n, kv_heads, T, head_dim]."""

    keys: Tensor
    values: Tensor

    def behind(self, past: Pair | None) -> Pair:
        """These tokens behind earlier ones."""
        return self if past is None else Pair(*(torch.cat(both, 2) for both in zip(past, self, strict=True)))


class Branches(NamedTuple):
    """Where m texts leave the plain texts that they share their beginning with.

    Attributes
    ----------
    source : [m] int64
        Which of the plain texts.
    shared : [m] int64
        How many tokens both begin with.
    reach : int
        At least the largest of these.
    ids : [m, S] int64
        Tokens behind these, right padded.
    layout : Layout
        Of these tokens; answers count from the first of them.
    """

    source: Tensor
    shared: Tensor
    reach: int
    ids: Tensor
    layout: Layout

    @property
    def lengths(self) -> Tensor:
        """[m] tokens behind the shared ones."""
        return self.layout.answers[:, 1] + 1

    def select(self, index: Tensor) -> Branches:
        """Some of the texts, padded no more than they need."""
        layout, shared = self.layout, self.shared[index]
        width = int((layout.answers[index, 1] + 1).max())
        cut = Layout(layout.positions[index, :width], layout.segment[index, :width], layout.answers[index])
        return Branches(self.source[index], shared, int(shared.max()), self.ids[index, :width], cut)

    def batches(self, tokens: int) -> Iterator[Tensor]:
        """Positions of all texts in batches of like length.

        A batch has at most ``tokens`` tokens with padding, and sees at most four times as many of plain texts.
        """
        order, lengths = torch.argsort(self.lengths, descending=True, stable=True), self.lengths
        most, start = max(1, 4 * tokens // max(1, self.reach)), 0
        while start < len(order):
            stop = start + min(most, max(1, tokens // int(lengths[order[start]])))
            yield order[start:stop]
            start = stop

    def shifted(self, count: int) -> Branches:
        """The same behind ``count`` virtual tokens that all texts share."""
        layout = self.layout._replace(positions=self.layout.positions + count)
        return self._replace(shared=self.shared + count, reach=self.reach + count, layout=layout)

    def to(self, device: torch.device) -> Branches:
        """The same on a device."""
        layout = Layout(*(part.to(device) for part in self.layout))
        moved = (part.to(device) for part in (self.source, self.shared, self.ids))
        return Branches(next(moved), next(moved), self.reach, next(moved), layout)

    def past(self, pair: Pair) -> Pair:
        """[m, kv_heads, reach, head_dim] keys and values of the plain texts, for each of these texts."""
        return Pair(*(part[:, :, : self.reach][self.source] for part in pair))

    def allowed(self) -> Tensor:
        """[m, 1, S, reach + S] bool: what each token sees of the plain text and of its own."""
        own, before = self.layout.allowed(), self._before()
        return torch.cat([before[:, None, None].expand(-1, 1, own.shape[2], -1), own], -1)

    def allowed_to_answers(self) -> Tensor:
        """[m, 2, reach + S] bool: what the answer tokens see."""
        return torch.cat([self._before()[:, None].expand(-1, 2, -1), self.layout.allowed_to_answers()], -1)

    def _before(self) -> Tensor:
        return torch.arange(self.reach, device=self.shared.device) < self.shared[:, None]


def branch_off(plain: Packed, texts: Packed, source: Tensor) -> Branches:
    """What is left of texts [m] behind the tokens that they share with the plain texts at ``source`` [m]."""
    width = min(plain.ids.shape[1], texts.ids.shape[1])
    same = (texts.ids[:, :width] == plain.ids[source, :width]) & (texts.segment[:, :width] == 0)
    shared = (same & (plain.segment[source, :width] == 0)).long().cumprod(1).sum(1)
    rest = texts.lengths - shared
    index = shared[:, None] + torch.arange(int(rest.max()))
    padding = index >= texts.lengths[:, None]
    index = index.clamp(max=texts.ids.shape[1] - 1)

    def behind(tokens: Tensor, fill: int) -> Tensor:
        return torch.gather(tokens, 1, index).masked_fill(padding, fill)

    layout = Layout(behind(texts.positions, 0), behind(texts.segment, -1), texts.answers - shared[:, None])
    return Branches(source, shared, int(shared.max()), behind(texts.ids, 0), layout)


@torch.no_grad()
def lower_plain(stack: Stack, ids: Tensor, layout: Layout) -> tuple[Tensor, list[Pair]]:
    """Hidden states [n, T, d] of plain texts that enter the top, and keys and values of the layers below."""
    return _lower(stack, ids, layout, layout.allowed() if stack.start else None, None)


@torch.no_grad()
def lower_branches(stack: Stack, branches: Branches, past: Sequence[Pair]) -> Tensor:
    """[m, S, d] hidden states of branches that enter the top."""
    own = [branches.past(pair) for pair in past]
    return _lower(stack, branches.ids, branches.layout, branches.allowed() if stack.start else None, own)[0]


def _lower(
    stack: Stack, ids: Tensor, layout: Layout, allowed: Tensor | None, past: Sequence[Pair] | None
) -> tuple[Tensor, list[Pair]]:
    decoder = decoder_of(stack.base)
    hidden: Tensor = decoder.embed_tokens(ids)
    if allowed is None:
        return hidden, []
    rotary, pairs = decoder.rotary_emb(hidden, layout.positions), []
    blocked = torch.zeros(allowed.shape, dtype=hidden.dtype, device=hidden.device).masked_fill_(~allowed, -torch.inf)
    for index, layer in enumerate(decoder.layers[: stack.start]):
        hidden, pair = _layer(layer, hidden, rotary, blocked, None if past is None else past[index])
        pairs.append(pair)
    return hidden, pairs


class BranchTop(Top):
    """A top that answers plain texts, remembers their keys and values, and then answers branches of them."""

    def forward(  # type: ignore[override]
        self,
        hidden: Tensor,
        at: Layout | Branches,
        prefix: Tensor | None = None,
        past: Sequence[Pair] | None = None,
        remember: bool = False,
    ) -> Answers | tuple[Answers, list[Pair]]:
        """Answers of texts whose hidden states [n, T, d] enter the first of these layers.

        Parameters
        ----------
        hidden : [n, T, d]
        at : Layout or Branches
            Of branches: ``past`` is what their plain texts left, learnt keys and values included.
        prefix : [layers, 2, kv_heads, p, head_dim], optional
            Learnt keys and values, for plain texts.
        past : sequence of Pair, optional
        remember : bool
            Also give keys and values of every layer.
        """
        if isinstance(at, Branches):
            assert past is not None
            return self._walk(hidden, at.layout, at, None, [at.past(pair) for pair in past])[0]
        if remember:
            return self._walk(hidden, at, at, prefix, None)
        return super().forward(hidden, at, prefix)

    def _walk(
        self,
        hidden: Tensor,
        layout: Layout,
        seen: Layout | Branches,
        prefix: Tensor | None,
        past: Sequence[Pair] | None,
    ) -> tuple[Answers, list[Pair]]:
        rotary = self.rotary(hidden, layout.positions + (0 if prefix is None else prefix.shape[-2]))
        pairs: list[Pair] = []
        for index, layer in enumerate(self.layers):
            learnt, before = None if prefix is None else prefix[index], None if past is None else past[index]
            if index == len(self.layers) - 1:
                hidden, pair = _last(layer, hidden, rotary, layout.answers, seen.allowed_to_answers(), before, learnt)
            else:
                hidden, pair = _layer(layer, hidden, rotary, seen.allowed(), before, learnt, plain=True)
            pairs.append(pair)
        final = self.norm(hidden)
        return Answers(answer_logits(final, self.head), final.mean(1), hidden.new_zeros(len(hidden), 0)), pairs


def _layer(
    layer: Layer,
    hidden: Tensor,
    rotary: tuple[Tensor, Tensor],
    allowed: Tensor,
    past: Pair | None = None,
    prefix: Tensor | None = None,
    *,
    plain: bool = False,
) -> tuple[Tensor, Pair]:
    """Hidden states [n, T, d] after one layer, and all keys and values that its tokens may see."""
    cos, sin = (r[:, None] for r in rotary)
    x = layer.input_layernorm(hidden)
    q, k, v = rotate(_heads(layer, "q", x), cos, sin), rotate(_heads(layer, "k", x), cos, sin), _heads(layer, "v", x)
    k, v, allowed = _with_prefix(*Pair(k, v).behind(past), allowed, prefix)
    mixed = (_plain_gqa if plain else _fused_gqa)(q, k, v, allowed, layer.self_attn.scaling)
    hidden = hidden + layer.self_attn.o_proj(mixed.transpose(1, 2).reshape(*hidden.shape[:-1], -1))
    return hidden + layer.mlp(layer.post_attention_layernorm(hidden)), Pair(k, v)


def _fused_gqa(q: Tensor, k: Tensor, v: Tensor, blocked: Tensor, scale: float) -> Tensor:
    """Attention with fewer key heads than query heads; ``blocked`` is 0 or -inf."""
    if q.device.type != "cpu":  # the memory-saving kernels of a GPU want equal heads
        k, v = (part.repeat_interleave(q.shape[1] // part.shape[1], 1) for part in (k, v))
    return scaled_dot_product_attention(q, k, v, attn_mask=blocked, scale=scale, enable_gqa=k.shape[1] < q.shape[1])


def _plain_gqa(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor, scale: float) -> Tensor:
    """The same in matrix products, for lanes; ``allowed`` is bool."""
    asking = q.reshape(len(q), k.shape[1], -1, q.shape[-1])  # heads that share keys beside each other
    seen = allowed.repeat(1, 1, q.shape[1] // k.shape[1], 1)
    return _plain_attention(asking, k, v, seen, scale).reshape(q.shape)


def _last(
    layer: Layer,
    hidden: Tensor,
    rotary: tuple[Tensor, Tensor],
    answers: Tensor,
    allowed: Tensor,
    past: Pair | None,
    prefix: Tensor | None,
) -> tuple[Tensor, Pair]:
    """Hidden states of the answer tokens [n, 2, d] after the last layer, and all keys and values that they may see."""
    cos, sin = rotary
    x = layer.input_layernorm(hidden)
    own, states = take_tokens(hidden, answers), take_tokens(x, answers)
    q = rotate(_heads(layer, "q", states), *(take_tokens(r, answers)[:, None] for r in (cos, sin)))
    pair = Pair(rotate(_heads(layer, "k", x), cos[:, None], sin[:, None]), _heads(layer, "v", x)).behind(past)
    k, v, allowed = _with_prefix(*pair, allowed, prefix)
    mixed = _plain_gqa(q, k, v, allowed[:, None], layer.self_attn.scaling)
    after = own + layer.self_attn.o_proj(mixed.transpose(1, 2).reshape(len(q), 2, -1))
    return after + layer.mlp(layer.post_attention_layernorm(after)), Pair(k, v)
