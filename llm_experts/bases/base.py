"""A base model: a frozen causal language model, its tokenizer and the hash of its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


@dataclass(frozen=True, eq=False)
class Base:
    """A frozen causal language model.

    Attributes
    ----------
    id : str
        ``nano``, a Hugging Face id or a path.
    model : PreTrainedModel
        In evaluation mode, no parameter requires a gradient.
    tokenizer : PreTrainedTokenizerFast
    hash : str
        sha256 of configuration, weights and tokenizer: what adapters are bound to.
    quantisation : str
        ``none``, ``nf4`` or ``int8``.
    """

    id: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    hash: str
    quantisation: str = "none"

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states."""
        return int(self.model.config.hidden_size)

    @property
    def n_layers(self) -> int:
        """Number of decoder layers."""
        return int(self.model.config.num_hidden_layers)

    @property
    def context(self) -> int:
        """Most tokens of a text."""
        return int(self.model.config.max_position_embeddings)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device
