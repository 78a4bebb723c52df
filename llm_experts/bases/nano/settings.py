"""Shape and budget of nano: numbers alone, so that its identity is known without a model library."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import Qwen3Config

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
            tie_word_embeddings=False,
            pad_token_id=pad,
            bos_token_id=None,
            eos_token_id=end,
            dtype="float32",
            attn_implementation="sdpa",  # type: ignore[call-arg]
        )


@dataclass(frozen=True)
class Settings:
    """Budget and shape of a pretraining.

    Attributes
    ----------
    shape : Shape
    vocabulary : int
        Tokens learnt by BPE; phrases of cards come on top.
    chunks, chunk : int
        The texts are drawn in so many chunks of so many rows.
    batch_tokens : int
        Tokens of one step.
    matrix_rate, rate : float
        Largest learning rates.
    exam : int
        Rows of held-out populations that the model is examined on.
    seed : int
    """

    shape: Shape = field(default_factory=Shape)
    vocabulary: int = 1600
    chunks: int = 24
    chunk: int = 480
    batch_tokens: int = 4096
    matrix_rate: float = 0.02
    rate: float = 0.006
    exam: int = 240
    seed: int = 0
