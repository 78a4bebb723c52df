"""Hidden states of texts: pooled over the words of the resident base, or of a sentence encoder by its id."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from serving.router.error import RouterError

if TYPE_CHECKING:
    from torch import Tensor

    from llm_experts.bases.base import Base

LONGEST = 512
"""Tokens of a text that are read; a longer one is cut."""

State = Callable[[str], "Tensor"]
"""A text in, its pooled hidden state [d] out."""


def base_state(base: Base) -> State:
    """Mean over a text's tokens of the base's last hidden states: one forward pass, which an engine has anyway.

    Parameters
    ----------
    base : Base
        Without an adapter in it: routes must not depend on who was asked before.
    """

    def state(text: str) -> Tensor:
        import torch

        ids = base.tokenizer(text, return_tensors="pt", truncation=True, max_length=LONGEST)["input_ids"]
        if ids.shape[1] == 0:
            ids = torch.tensor([[base.tokenizer.eos_token_id or 0]])
        with torch.inference_mode():
            model: Any = base.model
            hidden: Tensor = model.base_model(input_ids=ids.to(base.device), use_cache=False).last_hidden_state
            return hidden[0].float().mean(dim=0).cpu().clone()

    return state


def encoder_state(name: str) -> State:
    """Mean of an encoder's last hidden states, such as ``sentence-transformers/all-MiniLM-L6-v2`` or a folder.

    Raises
    ------
    RouterError
        If there is no such encoder here.
    """
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(name)
        model: Any = AutoModel.from_pretrained(name, use_safetensors=True).eval()
    except (OSError, ValueError) as error:
        raise RouterError(
            f"the sentence encoder {name!r} cannot be loaded ({str(error).splitlines()[0][:200]}): give the id of a "
            "model with safetensors, or a folder"
        ) from error

    def state(text: str) -> Tensor:
        import torch

        inputs = tokenizer(text or " ", return_tensors="pt", truncation=True, max_length=LONGEST)
        with torch.inference_mode():
            hidden: Tensor = model(**inputs).last_hidden_state
            return hidden[0].float().mean(dim=0).clone()

    return state
