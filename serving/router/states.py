"""Hidden states of texts: pooled over the words of the resident base, or of a sentence encoder by its id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.router.error import RouterError

if TYPE_CHECKING:
    from torch import Tensor

    from llm_experts.bases.base import Base

LONGEST = 512
"""Tokens of a text that are read; a longer one is cut."""

State = Callable[[str], "Tensor"]
"""A text in, its pooled hidden state [d] out."""


@dataclass(frozen=True)
class StatesOf:
    """Which model hidden states are of: what is fitted on those of one says nothing about those of another.

    Attributes
    ----------
    name : str
        For people; of a folder its last part.
    hash : str
        Of the model's files, or of a published encoder its commit.
    """

    name: str
    hash: str

    def __str__(self) -> str:
        return f"{self.name} ({self.hash[:12]})"

    @classmethod
    def of_json(cls, facts: Mapping[str, Any]) -> StatesOf:
        """What :meth:`as_json` gave."""
        return cls(str(facts["name"]), str(facts["hash"]))

    def as_json(self) -> dict[str, str]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class ReadState:
    """A :data:`State` that knows which model it reads with."""

    of: StatesOf
    read: State

    def __call__(self, text: str) -> Tensor:
        """The pooled hidden state [d] of a text."""
        return self.read(text)


def base_state(base: Base) -> ReadState:
    """Mean over a text's tokens of the base's last hidden states: one forward pass.

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

    return ReadState(StatesOf(_short(base.id), base.hash), state)


def encoder_state(name: str) -> ReadState:
    """Mean of an encoder's last hidden states, such as ``sentence-transformers/all-MiniLM-L6-v2`` or a folder.

    Raises
    ------
    RouterError
        If there is no such encoder here.
    """
    from transformers import AutoModel, AutoTokenizer

    from llm_experts.bases.identify import cached_commit, hash_of

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

    key = hash_of(Path(name)) if Path(name).is_dir() else cached_commit(name) or name
    return ReadState(StatesOf(_short(name), key), state)


def _short(name: str) -> str:
    """A name that says nothing about the machine's folders."""
    return Path(name).name if Path(name).is_dir() else name
