"""nano's forward pass for pretraining: Qwen3 on rows with branches, with as few passes over memory as possible.

It computes what ``Qwen3ForCausalLM`` computes (a test compares them) from the same parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu

if TYPE_CHECKING:
    from transformers import Qwen3ForCausalLM

    from llm_experts.bases.nano.corpus import Tokens

PADDING = -1


class Batch(NamedTuple):
    """n lessons, right padded to T tokens.

    Attributes
    ----------
    ids, positions, targets : [n, T] int64
    weights : [n, T] float32
        Of the prediction of the target; 0 for none.
    rows : [n, T] bool
        Tokens of rows, not of questions.
    mask : [n, 1, T, T] bool
        Which token sees which: causal, and a branch sees the row and itself.
    """

    ids: Tensor
    positions: Tensor
    targets: Tensor
    weights: Tensor
    rows: Tensor
    mask: Tensor


def collate(lessons: Sequence[Tokens]) -> Batch:
    """Pad lessons to one batch."""
    shape = len(lessons), max(map(len, lessons))
    ids, positions, targets = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    branch, weights = np.full(shape, PADDING, dtype=np.int64), np.zeros(shape, dtype=np.float32)
    for row, lesson in enumerate(lessons):
        place = row, slice(len(lesson))
        ids[place], positions[place], branch[place] = lesson.ids, lesson.positions, lesson.branch
        targets[place], weights[place] = lesson.targets, lesson.weights
    asking, seen = branch[:, :, None], branch[:, None, :]
    causal, own = np.tri(shape[1], dtype=bool), np.eye(shape[1], dtype=bool)
    mask = (causal & (seen >= 0) & ((seen == 0) | (seen == asking))) | own
    arrays = (ids, positions, targets, weights, branch == 0, mask[:, None])
    return Batch(*map(torch.from_numpy, arrays))


def rotary_tables(config: Any) -> tuple[Tensor, Tensor]:
    """Cosines and sines [context, head_dim] of the rotary position embedding (Su et al., 2021)."""
    rates = config.rope_parameters["rope_theta"] ** -(torch.arange(0, config.head_dim, 2).float() / config.head_dim)
    angles = torch.outer(torch.arange(config.max_position_embeddings).float(), rates).repeat(1, 2)
    return angles.cos(), angles.sin()


class States(NamedTuple):
    """Hidden states [n, T, d] behind the final norm: of what enters the last layer, and of what leaves it."""

    early: Tensor
    final: Tensor


def states_of(model: Qwen3ForCausalLM, batch: Batch, tables: tuple[Tensor, Tensor]) -> States:
    """Hidden states of a batch."""
    decoder: Any = model.model
    cos, sin = (table[batch.positions][:, None] for table in tables)
    hidden = decoder.embed_tokens(batch.ids)
    for layer in decoder.layers:
        early = hidden
        hidden = hidden + _attend(layer.self_attn, _norm(layer.input_layernorm, hidden), cos, sin, batch.mask)
        x = _norm(layer.post_attention_layernorm, hidden)
        hidden = hidden + layer.mlp.down_proj(silu(layer.mlp.gate_proj(x)) * layer.mlp.up_proj(x))
    return States(_norm(decoder.norm, early), _norm(decoder.norm, hidden))


def _norm(norm: Any, x: Tensor) -> Tensor:
    return rms_norm(x, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _attend(attention: Any, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
    n, length, _ = x.shape
    q, k, v = (
        project(x).view(n, length, -1, attention.head_dim)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    q = _rotate(_norm(attention.q_norm, q).transpose(1, 2), cos, sin)
    k = _rotate(_norm(attention.k_norm, k).transpose(1, 2), cos, sin)
    mixed = scaled_dot_product_attention(q, k, v.transpose(1, 2), attn_mask=mask, enable_gqa=True)
    out: Tensor = attention.o_proj(mixed.transpose(1, 2).reshape(n, length, -1))
    return out


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin
