"""A base model: a frozen causal language model, its tokenizer and the hash of its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_experts.bases.error import BaseError
from llm_experts.bases.scaling import RopeScaling

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

WIDE = 256
"""Hidden units of a wide base: what is read in portions there would cost a smaller one its numbers for nothing."""


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
        ``none``, ``nf4``, ``int8`` or ``ternary``: how its weights were rounded when it was loaded.
    rope_scaling : RopeScaling, optional
        What was chosen beyond the base's own configuration (:func:`llm_experts.bases.rope.rescaled`).
    """

    id: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    hash: str
    quantisation: str = "none"
    rope_scaling: RopeScaling | None = None

    @property
    def architecture(self) -> str:
        """Name of the model's class, such as ``LlamaForCausalLM``."""
        return type(self.model).__name__

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states."""
        return self._setting("hidden_size")

    @property
    def n_layers(self) -> int:
        """Number of decoder layers."""
        return self._setting("num_hidden_layers")

    @property
    def context(self) -> int:
        """Most tokens of a text; a sliding window ends it, as a token behind the window does not see all of a text."""
        longest, window = self._setting("max_position_embeddings"), self.window
        if self.rope_scaling is not None and self.rope_scaling.kind == "dynamic":
            longest = int(longest * self.rope_scaling.factor)  # the configuration keeps what frequencies start from
        return longest if window is None else min(longest, window)

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end a text, by the tokenizer and by the model's settings."""
        settings: tuple[Any, ...] = (getattr(self.model, "generation_config", None), self.model.config)
        found: list[Any] = [self.tokenizer.eos_token_id, *(getattr(own, "eos_token_id", None) for own in settings)]
        lists = (entry if isinstance(entry, list) else [entry] for entry in found if entry is not None)
        return frozenset(int(token) for tokens in lists for token in tokens)

    @property
    def window(self) -> int | None:
        """Tokens that a token of a layer with a sliding window sees, itself included; None without such a layer."""
        config = self.model.config
        window, kinds = getattr(config, "sliding_window", None), getattr(config, "layer_types", None)
        slides = (kinds is None or "sliding_attention" in kinds) and getattr(config, "use_sliding_window", True)
        return None if window is None or not slides else int(window)

    def _setting(self, name: str) -> int:
        value = getattr(self.model.config, name, None)
        if value is None:
            raise BaseError(
                f"{self.id} ({self.architecture}) is no base for experts on texts: its configuration has no {name}. "
                "Choose one of the Llama, Mistral or Qwen family."
            )
        return int(value)

    @property
    def wide(self) -> bool:
        """Whether its products are large enough that sums in another order are worth the time they save."""
        return self.hidden_size >= WIDE

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device
