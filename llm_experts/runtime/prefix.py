"""Virtual tokens of a composition: what stands ahead of a request's text.

A text that follows virtual tokens sees ``[prefix] [soft prompts] [text]``, in this order: the keys and values of a
learnt prefix take the first positions in every layer, soft prompts follow as embeddings and run through the layers
(seeing the prefix), then comes the text. Several soft prompts stand one after the other, by the load order of their
packages and then by name.

Defined are soft prompts, several of them, and one prefix, each with weight 1 (weight 0 leaves them out). Any other
weight is refused, as half of a text is no text; and so are two prefixes: each was learnt for the first positions, where
only one can stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llm_experts.runtime.composition import Composition, CompositionError


@dataclass(frozen=True, eq=False)
class Prefix:
    """What stands ahead of a text.

    Attributes
    ----------
    embeddings : Tensor
        [p, d] of soft prompts; p may be 0.
    keys_and_values : Tensor or None
        [layers, 2, kv_heads, v, head_dim] of a learnt prefix; keys are rotated to positions 0 … v - 1.
    """

    embeddings: Tensor
    keys_and_values: Tensor | None = None

    @property
    def cached(self) -> int:
        """v: positions that are filled before anything is computed."""
        return 0 if self.keys_and_values is None else int(self.keys_and_values.shape[3])

    @property
    def length(self) -> int:
        """Positions that virtual tokens take, v + p."""
        return self.cached + len(self.embeddings)


@dataclass(frozen=True, eq=False)
class VirtualTokens:
    """One adapter's: embeddings [p, d], or keys and values [layers, 2, kv_heads, v, head_dim].

    Attributes
    ----------
    name : str
    order : int
        The load order of its package.
    """

    name: str
    order: int
    embeddings: Tensor | None = None
    keys_and_values: Tensor | None = None


def check_virtual(composition: Composition, virtual: Sequence[VirtualTokens]) -> None:
    """Raise :class:`CompositionError` unless the virtual tokens of a composition are defined."""
    weights = dict(composition.parts)
    for tokens in virtual:
        if weights[tokens.name] != 1:
            raise CompositionError(
                f"Expert {tokens.name!r} is made of virtual tokens, which are a text: there is no "
                f"{weights[tokens.name]:g} of a text. Give it weight 1, or leave it out."
            )
    prefixes = [tokens.name for tokens in virtual if tokens.keys_and_values is not None]
    if len(prefixes) > 1:
        raise CompositionError(
            f"Experts {prefixes[0]!r} and {prefixes[1]!r} are both prefixes: their keys and values were learnt for the "
            "same positions, the first ones, where only one can stand. Choose one; soft prompts can follow each other."
        )


def joined(virtual: Sequence[VirtualTokens], width: int, dtype: torch.dtype, device: torch.device) -> Prefix:
    """Virtual tokens as they stand ahead of a text; ``width`` is d."""
    ordered = sorted(virtual, key=lambda tokens: (tokens.order, tokens.name))
    soft = [tokens.embeddings.to(device, dtype) for tokens in ordered if tokens.embeddings is not None]
    learnt = [tokens.keys_and_values for tokens in ordered if tokens.keys_and_values is not None]
    embeddings = torch.cat(soft) if soft else torch.zeros(0, width, dtype=dtype, device=device)
    return Prefix(embeddings, learnt[0].to(device, dtype) if learnt else None)
