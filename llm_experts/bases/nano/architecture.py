"""The model of nano before pretraining: a small Qwen3 with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import Qwen3Config, Qwen3ForCausalLM

WAVES = 2 * 3.14159
EMBEDDING, LOWER, LAST, HEAD = 0.15, 0.03, 0.4, 0.01
"""Sizes at the start: of embeddings, of what the lower layers add to them (little, so that a token keeps saying what it
is), of what the last layer adds (much: adapters of the last layer then have a say), of the head."""


def new_model(config: Qwen3Config, seed: int, numbers: Mapping[int, int] | None = None) -> Qwen3ForCausalLM:
    """A model with random weights that depend on the seed alone; the global generator stays as it is.

    ``numbers`` tells which tokens are numbers of up to two digits: their embeddings start as smooth functions of the
    number, so that near numbers are near.
    """
    import torch
    from transformers import Qwen3ForCausalLM

    from foundation.seeding import torch_generator

    with torch.random.fork_rng(devices=[]):  # the library draws weights that are replaced below
        model = Qwen3ForCausalLM(config)
    random = torch_generator(seed, "nano", "weights")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim < 2:
                continue
            scale = EMBEDDING if "embed" in name else weight.shape[1] ** -0.5
            if name == "lm_head.weight":
                scale = HEAD
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                scale *= LAST if f".{config.num_hidden_layers - 1}." in name else LOWER
            weight.normal_(0, scale, generator=random)
        for layer in model.model.layers[:-1]:
            attention = layer.self_attn
            queries = attention.q_proj.weight.view(config.num_key_value_heads, -1, config.head_dim, config.hidden_size)
            attention.k_proj.weight.copy_(queries[:, 0].flatten(0, 1))
        if numbers:
            table = model.model.embed_tokens.weight
            size = table.shape[1]
            waves = torch.rand(size, generator=random) * WAVES
            phase = torch.rand(size, generator=random) * 2 * torch.pi
            for token, number in numbers.items():
                table[token] = EMBEDDING * (
                    0.9 * 2**0.5 * torch.cos(waves * number / 100 + phase) + 0.45 * table[token] / EMBEDDING
                )
    return model
