"""One walk over the layers of a decoder, for plain texts and for texts that go on where others left off.

In the last layer only the answer tokens ask; all other tokens are needed as keys and values alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from llm_experts.decoder.layout import Pair

Layer = Any
"""A decoder layer: what its parts are called is known, its class is not."""
Rotary = tuple[Tensor, Tensor]
"""Cosines and sines of tokens' positions, each [n, T, head_dim]."""
Attend = Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]
"""Queries, keys, values, mask and scale -> what each query finds; keys may have fewer heads than queries."""


class Asked(NamedTuple):
    """Hidden states of the answer tokens [n, 2, d] after a layer, their attention [n, P + T], and what they may see."""

    hidden: Tensor
    attention: Tensor
    pair: Pair | None


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding (Su et al., 2021) of [..., T, head_dim]."""
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin


def take_tokens(x: Tensor, index: Tensor) -> Tensor:
    """[n, q, ...] tokens of x [n, T, ...] at ``index`` [n, q]."""
    return torch.gather(x, 1, index.view(*index.shape, *[1] * (x.ndim - 2)).expand(*index.shape, *x.shape[2:]))


def run_layer(
    layer: Layer,
    hidden: Tensor,
    rotary: Rotary,
    allowed: Tensor,
    attend: Attend,
    past: Pair | None = None,
    prefix: Tensor | None = None,
) -> tuple[Tensor, Pair]:
    """Hidden states [n, T, d] after one layer, and all keys and values that its tokens may see.

    Parameters
    ----------
    allowed : [n, 1, T, P + T]
        Which token sees which, as ``attend`` takes it.
    past : Pair, optional
        Of P tokens before these.
    prefix : [2, kv_heads, p, head_dim], optional
        Learnt keys and values that every token sees.
    """
    cos, sin = (r[:, None] for r in rotary)
    x = layer.input_layernorm(hidden)
    q, k, v = rotate(_heads(layer, "q", x), cos, sin), rotate(_heads(layer, "k", x), cos, sin), _heads(layer, "v", x)
    pair = Pair(k, v).behind(past).with_prefix(prefix)
    mixed = attend(q, *pair, _with_prefix(allowed, prefix), layer.self_attn.scaling)
    hidden = hidden + layer.self_attn.o_proj(mixed.transpose(1, 2).reshape(*hidden.shape[:-1], -1))
    return hidden + layer.mlp(layer.post_attention_layernorm(hidden)), pair


def run_last_layer(
    layer: Layer,
    hidden: Tensor,
    rotary: Rotary,
    answers: Tensor,
    allowed: Tensor,
    past: Pair | None = None,
    prefix: Tensor | None = None,
    *,
    remember: bool = False,
) -> Asked:
    """The last layer, in which the tokens at ``answers`` [n, 2] alone ask; ``allowed`` is bool [n, 2, P + T].

    Values are projected for all tokens where something has to see them: earlier or learnt ones beside them, or later
    texts (``remember``).
    """
    cos, sin = rotary
    x = layer.input_layernorm(hidden)
    own, states = take_tokens(hidden, answers), take_tokens(x, answers)
    q = rotate(_heads(layer, "q", states), *(take_tokens(r, answers)[:, None] for r in (cos, sin)))
    k, pair = rotate(_heads(layer, "k", x), cos[:, None], sin[:, None]), None
    if remember or past is not None or prefix is not None:
        pair = Pair(k, _heads(layer, "v", x)).behind(past).with_prefix(prefix)
        k, allowed = pair.keys, _with_prefix(allowed, prefix)
    weights = _weights(_grouped(q, k), k, _repeated(allowed[:, None], q, k), layer.self_attn.scaling)
    values = _mixed_values(layer, weights.to(x.dtype), x) if pair is None else weights.to(x.dtype) @ pair.values
    mixed = values.reshape(len(q), q.shape[1], 2, -1).transpose(1, 2)
    after = own + layer.self_attn.o_proj(mixed.reshape(len(q), 2, -1))
    after = after + layer.mlp(layer.post_attention_layernorm(after))
    tokens = hidden.shape[1] + (0 if past is None else past.keys.shape[2])  # learnt ones are nobody's
    return Asked(after, weights.mean((1, 2))[:, -tokens:], pair)


def _grouped(q: Tensor, k: Tensor) -> Tensor:
    """[n, kv_heads, asking, head_dim] queries [n, heads, T, head_dim], those that share keys beside each other."""
    return q.reshape(len(q), k.shape[1], -1, q.shape[-1])


def fused(q: Tensor, k: Tensor, v: Tensor, blocked: Tensor, scale: float) -> Tensor:
    """Attention in the library's kernel, which has a first derivative and no lanes.

    ``blocked`` is 0 or -inf (:func:`as_blocked`), or bool.
    """
    if q.device.type != "cpu":  # the memory-saving kernels of a GPU want equal heads
        k, v = (part.repeat_interleave(q.shape[1] // part.shape[1], 1) for part in (k, v))
    return scaled_dot_product_attention(q, k, v, attn_mask=blocked, scale=scale, enable_gqa=k.shape[1] < q.shape[1])


def written_out(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor, scale: float) -> Tensor:
    """Attention in matrix products: lanes (``vmap``) and second derivatives need it so; ``allowed`` is bool."""
    k, v = (part.repeat_interleave(q.shape[1] // part.shape[1], 1) for part in (k, v))
    return _weights(q, k, allowed, scale).to(v.dtype) @ v


def as_blocked(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """A bool mask as what is added to scores: 0, or -inf where nothing is seen."""
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(~allowed, -torch.inf)


def _weights(q: Tensor, k: Tensor, allowed: Tensor, scale: float) -> Tensor:
    """Attention weights, float32."""
    return (q @ k.mT * scale).float().masked_fill(~allowed, -torch.inf).softmax(-1)


def _repeated(allowed: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """A mask for queries that share keys beside each other."""
    return allowed.repeat(1, 1, q.shape[1] // k.shape[1], 1)


def _with_prefix(allowed: Tensor, prefix: Tensor | None) -> Tensor:
    """A mask behind learnt keys that every token sees."""
    if prefix is None:
        return allowed
    return torch.cat([allowed.new_ones((*allowed.shape[:-1], prefix.shape[-2])), allowed], -1)


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
