"""Prefix tuning (Li & Liang, 2021): learnt keys and values of virtual tokens in every layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from llm_experts.adapters.kind import AdapterKind
from llm_experts.adapters.soft_prompt import TOKENS, Start, draw_ids, start_ids

if TYPE_CHECKING:
    from peft import PrefixTuningConfig
    from torch import nn
    from transformers import PreTrainedTokenizerBase


def make(
    rank: int | None,
    _layers: Sequence[int] | None,
    _model: nn.Module,
    *,
    start: Start | None = None,
    text: str | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> PrefixTuningConfig:
    """Configuration of ``rank`` virtual tokens, which start as :mod:`llm_experts.adapters.soft_prompt` describes."""
    from peft import PrefixTuningConfig

    count = TOKENS if rank is None else rank
    chosen, ids = start_ids(count, start, text, tokenizer)
    config: Any = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=count)
    config.fairmoe_start, config.fairmoe_ids = chosen, ids
    return config  # type: ignore[no-any-return]


def keys_and_values(weight: Tensor, config: Any) -> Tensor:
    """[layers, 2, kv_heads, v, head_dim] keys and values from PEFT's flat prefix [v, layers · 2 · kv_heads · head_dim].

    The keys are already rotated to positions 0 … v - 1. A stacked prefix [K, v, ...] gives [K, layers, 2, ...].
    """
    heads = config.num_attention_heads
    shape = (config.num_layers, 2, heads, config.token_dim // heads)
    return weight.reshape(*weight.shape[:-1], *shape).movedim(-5, -2)


def flat(pairs: Tensor) -> Tensor:
    """[v, layers · 2 · kv_heads · head_dim]: the inverse of :func:`keys_and_values`."""
    return pairs.movedim(-2, -5).flatten(-4)


@torch.no_grad()
def of_tokens(model: nn.Module, ids: Sequence[int]) -> Tensor:
    """Flat prefix of a text: exactly the keys and values that its tokens have in the base."""
    from transformers import DynamicCache

    cache: Any = DynamicCache()
    index = torch.tensor([list(ids)], device=next(model.parameters()).device)
    model(input_ids=index, past_key_values=cache, use_cache=True)
    return flat(torch.stack([torch.stack([layer.keys[0], layer.values[0]]) for layer in cache.layers])).float()


def start(_key: str, value: Tensor, generator: Generator, model: nn.Module, config: Any) -> Tensor:
    """Keys and values of a text, of random words, or standard normal numbers on request."""
    if config.fairmoe_start == "random":
        return torch.randn(value.shape, generator=generator).to(value.device, value.dtype)
    ids = config.fairmoe_ids or draw_ids(model, len(value), generator)
    return of_tokens(model, ids).to(value.device, value.dtype)


KIND = AdapterKind(
    name="prefix",
    label="prefix",
    about="learnt keys and values",
    place=6,
    make=make,
    lr_range=(1e-3, 1e-1),
    rank_choices=(8, 16, 32),
    peft_type="PREFIX_TUNING",
    needs_full_model=True,
    keys_and_values=keys_and_values,
    start=start,
)
