"""A frozen decoder driven layer by layer, so that what experts share is computed once.

Experts change the layers from ``start`` on, *the top*. What lies below is the same for every expert, lane and trial:
its output for a text is computed once (:meth:`Stack.lower`). In the last layer only the answer tokens ask; all other
tokens are needed as keys and values alone. Both are exact, and :class:`Stack` compares itself with the library's own
forward pass before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from llm_experts.bases.base import Base
from llm_experts.bases.error import BaseError
from llm_experts.bases.sharing import shared_copy

if TYPE_CHECKING:
    from llm_experts.prompts.prompts import Packed

Layer = Any
"""A decoder layer: what its parts are called is known, its class is not."""

PROBE_TOKENS = 24
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.02}
"""Largest difference from the library's forward pass, relative to the largest logit."""


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
        """[n, 1, T, T] bool: which token sees which: causal, and a tail does not see the other one."""
        length = self.segment.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=self.segment.device).tril()
        seen, asking = self.segment[:, None, :], self.segment[:, :, None]
        own = torch.eye(length, dtype=torch.bool, device=self.segment.device)  # padding sees itself: softmax is finite
        return ((causal & ((seen == 0) | (seen == asking)) & (seen >= 0)) | own)[:, None]

    def allowed_to_answers(self) -> Tensor:
        """[n, 2, T] bool: what the answer token of each tail sees."""
        tails = torch.tensor([1, 2], dtype=self.segment.dtype, device=self.segment.device)
        return (self.segment[:, None] == 0) | (self.segment[:, None] == tails[None, :, None])


class Answers(NamedTuple):
    """What the answer tokens of n prompts say.

    Attributes
    ----------
    logits : [n, 2, 2] float32
        Order of the options × (no, yes).
    pooled : [n, d]
        Final hidden state of the answer tokens, mean over the orders.
    attention : [n, T]
        Attention of the answer tokens in the last layer, mean over heads and orders; sums to 1.
    """

    logits: Tensor
    pooled: Tensor
    attention: Tensor

    @property
    def margin(self) -> Tensor:
        """[n] log-odds of yes against no, mean over the orders."""
        return (self.logits[..., 1] - self.logits[..., 0]).mean(-1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding (Su et al., 2021) of [..., T, head_dim]."""
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin


def take_tokens(x: Tensor, index: Tensor) -> Tensor:
    """[n, q, ...] tokens of x [n, T, ...] at ``index`` [n, q]."""
    return torch.gather(x, 1, index.view(*index.shape, *[1] * (x.ndim - 2)).expand(*index.shape, *x.shape[2:]))


def answer_logits(final: Tensor, head: Tensor) -> Tensor:
    """[n, 2, V] float32 logits of hidden states [n, 2, d]: bfloat16 would round away the differences that count."""
    return final.float() @ head.float().T


class Top(nn.Module):
    """The last layers of a decoder, ending in the two rows of the language-model head that carry the answer.

    A copy of the modules that shares the model's weights: adapters of any kind can be injected here
    (``peft.inject_adapter_in_model``) and the model stays as it is. Parameters can be replaced by
    ``torch.func.functional_call``. Adapters that the model had before are part of the copy.

    Parameters
    ----------
    base : Base
    start : int
        First layer.
    answer_ids : (int, int)
        Token ids of the words for no and yes.
    """

    head: Tensor
    norm: nn.Module
    rotary: nn.Module

    def __init__(self, base: Base, start: int, answer_ids: tuple[int, int]) -> None:
        super().__init__()
        decoder = decoder_of(base)
        self.layers = shared_copy(nn.ModuleList(decoder.layers[start:]))
        self.norm, self.rotary = decoder.norm, decoder.rotary_emb
        words: Any = base.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        self.register_buffer("head", words.weight[list(answer_ids)].detach().clone())

    def forward(self, hidden: Tensor, layout: Layout, prefix: Tensor | None = None) -> Answers:
        """Answers of prompts whose hidden states [n, T, d] enter the first of these layers.

        ``prefix`` [layers, 2, kv_heads, p, head_dim] are learnt keys and values that every token sees (prefix tuning);
        positions then start at p.
        """
        shift = 0 if prefix is None else prefix.shape[-2]
        rotary = self.rotary(hidden, layout.positions + shift)
        if len(self.layers) > 1:
            allowed = layout.allowed()
            for index, layer in enumerate(self.layers[:-1]):
                hidden = run_layer(
                    layer, hidden, rotary, allowed, prefix=None if prefix is None else prefix[index], plain=True
                )
        last, attention = self._last(self.layers[-1], hidden, rotary, layout, None if prefix is None else prefix[-1])
        final = self.norm(last)
        return Answers(answer_logits(final, self.head), final.mean(1), attention)

    def _last(
        self, layer: Layer, hidden: Tensor, rotary: tuple[Tensor, Tensor], layout: Layout, prefix: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Hidden states of the answer tokens [n, 2, d] after the last layer, and their attention [n, T]."""
        cos, sin = rotary
        x = layer.input_layernorm(hidden)
        own, states = take_tokens(hidden, layout.answers), take_tokens(x, layout.answers)
        q = rotate(_heads(layer, "q", states), *(take_tokens(r, layout.answers)[:, None] for r in (cos, sin)))
        k, allowed = rotate(_heads(layer, "k", x), cos[:, None], sin[:, None]), layout.allowed_to_answers()
        if prefix is not None:
            k, v, allowed = _with_prefix(k, _heads(layer, "v", x), allowed, prefix)
        n, groups = len(q), k.shape[1]
        asking = q.reshape(n, groups, -1, q.shape[-1])  # heads of a group and both orders beside each other
        scores = (asking @ k.mT) * layer.self_attn.scaling
        seen = allowed.repeat(1, q.shape[1] // groups, 1)[:, None]
        weights = scores.float().masked_fill(~seen, -torch.inf).softmax(-1)
        values = _mixed_values(layer, weights.to(x.dtype), x) if prefix is None else weights.to(v.dtype) @ v
        mixed = values.reshape(n, q.shape[1], 2, -1).transpose(1, 2)
        after = own + layer.self_attn.o_proj(mixed.reshape(n, 2, -1))
        after = after + layer.mlp(layer.post_attention_layernorm(after))
        return after, weights.mean((1, 2))[:, -hidden.shape[1] :]


def _heads(layer: Layer, which: str, x: Tensor) -> Tensor:
    """[n, heads, T, head_dim] queries, keys or values, normalised where the architecture does so."""
    attention = layer.self_attn
    projected = getattr(attention, f"{which}_proj")(x)
    split = projected.view(*x.shape[:-1], -1, attention.head_dim)
    norm = getattr(attention, f"{which}_norm", None)
    heads: Tensor = (split if norm is None else norm(split)).transpose(1, 2)
    return heads


def _mixed_values(layer: Layer, weights: Tensor, x: Tensor) -> Tensor:
    """[n, kv_heads, a, head_dim] values of tokens x [n, T, d] mixed by attention weights [n, kv_heads, a, T].

    Weights of a token sum to 1 and values are linear in x, so mixing comes first: a few answer tokens are projected
    instead of all tokens, which matters where every lane has its own projection.
    """
    n, groups, asking, _ = weights.shape
    mixed = (weights.flatten(1, 2) @ x).view(n, groups, asking, -1)
    projected: Tensor = layer.self_attn.v_proj(mixed).view(n, groups, asking, groups, -1)
    return projected.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2)  # each head's own slice


def _with_prefix(k: Tensor, v: Tensor, allowed: Tensor, prefix: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Keys, values and mask behind learnt keys and values [2, kv_heads, p, head_dim]."""
    if prefix is None:
        return k, v, allowed
    ahead = prefix[:, None].expand(-1, len(k), -1, -1, -1)
    seen = allowed.new_ones((*allowed.shape[:-1], prefix.shape[-2]))
    return torch.cat([ahead[0], k], 2), torch.cat([ahead[1], v], 2), torch.cat([seen, allowed], -1)


def run_layer(
    layer: Layer,
    hidden: Tensor,
    rotary: tuple[Tensor, Tensor],
    allowed: Tensor,
    *,
    prefix: Tensor | None = None,
    plain: bool = False,
) -> Tensor:
    """[n, T, d] hidden states after one decoder layer; ``allowed`` [n, 1, T, T] says which token sees which.

    ``plain`` attention is written out in matrix products: lanes (``vmap``) and second derivatives need it so.
    """
    cos, sin = (r[:, None] for r in rotary)
    x = layer.input_layernorm(hidden)
    q, k, v = rotate(_heads(layer, "q", x), cos, sin), rotate(_heads(layer, "k", x), cos, sin), _heads(layer, "v", x)
    k, v, allowed = _with_prefix(k, v, allowed, prefix)
    repeats = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeats, 1), v.repeat_interleave(repeats, 1)
    attend = _plain_attention if plain else scaled_dot_product_attention
    mixed = attend(q, k, v, attn_mask=allowed, scale=layer.self_attn.scaling)
    hidden = hidden + layer.self_attn.o_proj(mixed.transpose(1, 2).reshape(*hidden.shape[:-1], -1))
    after: Tensor = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
    return after


def decoder_of(base: Base) -> Any:
    """Embeddings, layers, final norm and rotary embedding of a base."""
    return base.model.get_decoder()  # type: ignore[no-untyped-call]


def _plain_attention(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor, scale: float) -> Tensor:
    scores = (q @ k.mT * scale).float().masked_fill(~attn_mask, -torch.inf)
    return scores.softmax(-1).to(v.dtype) @ v


class Stack:
    """A base cut in two: the frozen layers below ``start``, and the top that experts change.

    Parameters
    ----------
    base : Base
    start : int
        First layer that adapters may change; negative counts from the end (-1: the last layer only).

    Raises
    ------
    BaseError
        If ``start`` is not a layer, or the architecture does something that is not a plain decoder's forward pass.
    """

    def __init__(self, base: Base, start: int = 0) -> None:
        self.base = base
        self.start = start + base.n_layers if start < 0 else start
        if not 0 <= self.start < base.n_layers:
            raise BaseError(f"{base.id} has {base.n_layers} layers; adapters cannot start at layer {start}.")
        self._decoder = decoder_of(base)
        self._check()

    def top(self, answer_ids: tuple[int, int]) -> Top:
        """The layers that experts change."""
        return Top(self.base, self.start, answer_ids)

    @torch.no_grad()
    def lower(self, ids: Tensor, layout: Layout) -> Tensor:
        """[n, T, d] hidden states that enter the top; with ``start`` 0 the embeddings of tokens [n, T]."""
        hidden: Tensor = self._decoder.embed_tokens(ids)
        if not self.start:
            return hidden
        rotary, allowed = self._decoder.rotary_emb(hidden, layout.positions), layout.allowed()
        for layer in self._decoder.layers[: self.start]:
            hidden = run_layer(layer, hidden, rotary, allowed)
        return hidden

    @torch.no_grad()
    def _check(self) -> None:
        """Compare with the library's own forward pass on one text, packed and not."""
        base, device = self.base, self.base.device
        length = min(PROBE_TOKENS, base.context)
        size = self._decoder.embed_tokens.num_embeddings
        ids = (torch.arange(length, device=device) * 7919 % size)[None]
        segment = torch.zeros_like(ids, dtype=torch.int8)
        segment[:, -2], segment[:, -1] = 1, 2  # two one-token tails behind the same text
        positions = torch.arange(length, device=device)[None].clone()
        positions[:, -1] -= 1
        layout = Layout(positions, segment, torch.tensor([[length - 2, length - 1]], device=device))
        try:
            found = self.top((0, 1))(self.lower(ids, layout), layout).logits[0]
        except AttributeError as error:
            raise BaseError(
                f"{base.id} ({type(base.model).__name__}) is not built like a plain decoder ({error}); "
                "choose a base of the Llama, Mistral or Qwen family."
            ) from error
        texts = (ids[:, :-1], torch.cat([ids[:, :-2], ids[:, -1:]], 1))
        whole = [base.model(input_ids=text, logits_to_keep=1).logits[0, -1, :2] for text in texts]
        expected = torch.stack(whole)
        difference = float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-6))
        if difference > TOLERANCE[expected.dtype]:
            raise BaseError(
                f"{base.id} ({type(base.model).__name__}) computes something that a plain decoder does not "
                f"(logits differ by {difference:.2g} of their size); choose one of the Llama, Mistral or Qwen family."
            )
