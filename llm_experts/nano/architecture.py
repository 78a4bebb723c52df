"""The shape of nano: a small Qwen3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import Qwen3Config, Qwen3ForCausalLM

CONTEXT = 1024


@dataclass(frozen=True)
class Shape:
    """Widths and depths.

    Attributes
    ----------
    hidden, layers, heads, kv_heads, head, mlp : int
        Width of the hidden states, decoder layers, query heads, key-value heads, width of a head, width of the MLP.
    """

    hidden: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head: int = 32
    mlp: int = 384

    def config(self, vocabulary: int, pad: int, end: int) -> Qwen3Config:
        """Configuration for a vocabulary and its pad and end-of-text tokens."""
        from transformers import Qwen3Config

        return Qwen3Config(
            vocab_size=vocabulary,
            hidden_size=self.hidden,
            intermediate_size=self.mlp,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            head_dim=self.head,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            pad_token_id=pad,
            bos_token_id=None,
            eos_token_id=end,
            dtype="float32",
            attn_implementation="sdpa",
        )


def new_model(config: Qwen3Config, seed: int) -> Qwen3ForCausalLM:
    """A model with random weights that depend on the seed alone; the global generator stays as it is."""
    import torch
    from transformers import Qwen3ForCausalLM

    from tasks.seeding import torch_generator

    with torch.random.fork_rng(devices=[]):  # the library draws weights that are replaced below
        model = Qwen3ForCausalLM(config)
    random = torch_generator(seed, "nano", "weights")
    depth = (2 * config.num_hidden_layers) ** -0.5
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim < 2:
                continue
            scale = 0.02 if "embed" in name else weight.shape[1] ** -0.5
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                scale *= depth
            weight.normal_(0, scale, generator=random)
    return model
