"""What enters the top for a text: one state per token, computed by the base alone and therefore kept and shared.

Where adapters act on whole texts (*scope* ``full``) a token's state is its hidden state below the top. Where they act
on the end of a text alone (``suffix``: the question and its answers) the tokens before it are what the base itself
makes of them: their state is the keys and values that the base has of them in every layer of the top. An untrained
adapter leaves either as the base is; trained ones are different models (activated LoRA: Greenewald et al., 2025).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, get_args

import torch
from torch import Tensor

from llm_experts.adapters.error import AdapterError
from llm_experts.bases.error import BaseError
from llm_experts.decoder.layout import Answers, Layout, Pair, Scope, Tails, TopInput
from llm_experts.decoder.products import frozen_products
from llm_experts.decoder.walk import fused, take_tokens
from llm_experts.prompts.prompts import Packed

if TYPE_CHECKING:
    from llm_experts.adapters.kind import AdapterKind
    from llm_experts.decoder.cut import CutBase, Top
    from llm_experts.decoder.shared_prefix import Branches

FULL, SUFFIX = get_args(Scope)


class Entry:
    """Texts to the states that enter the top, and back from kept states.

    Parameters
    ----------
    cut : CutBase
    scope : {"full", "suffix"}
        What adapters act on.

    Raises
    ------
    BaseError
        If there is no such scope.
    """

    def __init__(self, cut: CutBase, scope: Scope = "full") -> None:
        self.cut, self.scope = cut, scope_named(scope)

    @property
    def kept(self) -> bool:
        """Whether states are worth keeping: embeddings are looked up faster."""
        return self.cut.start > 0 or self.scope == SUFFIX

    @property
    def width(self) -> int:
        """Numbers of a token's state."""
        hidden = self.cut.base.hidden_size
        return hidden if self.scope == FULL else max(hidden, self._pair_width * self._layers)

    def states(self, packed: Packed) -> Tensor:
        """[n, T, width] states of texts."""
        device = self.cut.base.device
        layout, ids = Layout.of(packed, device), packed.ids.to(device)
        hidden = self.cut.lower(ids, layout)
        if self.scope == FULL:
            return hidden
        return self.joined(packed, hidden, self.plain_pairs(hidden, layout))

    @torch.no_grad()
    def plain_pairs(
        self, hidden: Tensor, at: Layout | Branches, past: Sequence[Pair] | None = None
    ) -> tuple[Pair, ...]:
        """Keys and values that the base itself has in the layers of the top."""
        with frozen_products(self.cut.base):
            found: Answers = self._plain_top(hidden, at, past=past, remember=True, attend=fused)
        return found.pairs

    def joined(self, packed: Packed, hidden: Tensor, pairs: Sequence[Pair]) -> Tensor:
        """[n, T, width] states: keys and values of what comes before the ends, hidden states of these."""
        flat = torch.cat([part.transpose(1, 2).flatten(2) for pair in pairs for part in pair], -1)
        states = hidden.new_zeros(*hidden.shape[:2], self.width)
        states[..., : flat.shape[-1]] = flat
        ends = torch.arange(hidden.shape[1]) >= suffix_start(packed).cpu()[:, None]
        below = states[..., : hidden.shape[-1]]
        below.copy_(torch.where(ends[..., None].to(hidden.device), hidden, below))
        return states

    def given(self, packed: Packed, states: Tensor) -> TopInput:
        """Texts with their states [n, T, width] as what enters the top."""
        layout, columns = Layout.of(packed, states.device), packed.columns.to(states.device)
        if self.scope == FULL:
            return TopInput(states, layout, columns)
        start = suffix_start(packed).to(states.device)
        reach = int(start.max())
        seen = torch.arange(reach, device=states.device) < start[:, None]
        hidden, own = _ends(states[..., : self.cut.base.hidden_size], layout, packed.lengths.to(start.device), start)
        before = columns[:, :reach].masked_fill(~seen, -1)
        both = torch.cat([before, columns.new_full(hidden.shape[:2], -1)], 1)
        return TopInput(hidden, Tails(seen, own), both, self._pairs(states[:, :reach]))

    def starts(self, packed: Packed) -> Tensor:
        """[n] int64: first token that adapters act on."""
        return suffix_start(packed) if self.scope == SUFFIX else torch.zeros_like(packed.lengths)

    def opened(self, packed: Packed) -> TopInput:
        """What enters the top for texts, computed anew."""
        return self.given(packed, self.states(packed))

    def branched(self, branches: Branches, texts: Packed, hidden: Tensor, pairs: Sequence[Pair]) -> TopInput:
        """What enters the top for branches of texts that the base has read, where adapters act on the end alone.

        Parameters
        ----------
        branches : Branches
        texts : Packed
            The whole texts [m].
        hidden : [m, S, d]
            Below the top, of the branches' tokens.
        pairs : sequence of Pair
            Of the base, by layer, each [m, heads, reach + S, width]: what the branches' tokens may see.
        """
        first = suffix_start(texts) - branches.shared
        ends, own = _ends(hidden, branches.layout, branches.lengths, first)
        width = branches.reach + int(first.max())
        token = torch.arange(width, device=first.device)
        seen = (token < branches.shared[:, None]) | (
            (token >= branches.reach) & (token < branches.reach + first[:, None])
        )
        columns = texts.columns.new_full((len(first), width + ends.shape[1]), -1)
        return TopInput(
            ends, Tails(seen, own), columns, tuple(Pair(*(p[:, :, :width] for p in pair)) for pair in pairs)
        )

    @property
    def _layers(self) -> int:
        return self.cut.base.n_layers - self.cut.start

    @cached_property
    def _heads(self) -> tuple[int, int]:
        """Heads of keys and values, and their width."""
        config = self.cut.base.model.config
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return int(config.num_key_value_heads), int(size)

    @property
    def _pair_width(self) -> int:
        heads, size = self._heads
        return 2 * heads * size

    @cached_property
    def _plain_top(self) -> Top:
        return self.cut.top((0, 1))

    def _pairs(self, states: Tensor) -> tuple[Pair, ...]:
        """Keys and values of each layer from states [n, P, width]."""
        heads, size = self._heads
        whole = states[..., : self._pair_width * self._layers]
        whole = whole.view(*states.shape[:2], self._layers, 2, heads, size)
        return tuple(Pair(*whole[:, :, layer].permute(2, 0, 3, 1, 4)) for layer in range(self._layers))


def _ends(hidden: Tensor, layout: Layout, lengths: Tensor, start: Tensor) -> tuple[Tensor, Layout]:
    """Hidden states [n, S, d] and layout of texts from their tokens ``start`` [n] on."""
    index = start[:, None] + torch.arange(int((lengths - start).max()), device=start.device)
    padding = index >= lengths[:, None]
    index = index.clamp(max=hidden.shape[1] - 1)
    positions = torch.gather(layout.positions, 1, index).masked_fill(padding, 0)
    segment = torch.gather(layout.segment, 1, index).masked_fill(padding, -1)
    return take_tokens(hidden, index), Layout(positions, segment, layout.answers - start[:, None])


def suffix_start(packed: Packed) -> Tensor:
    """[n] int64: first token behind what a row says of its columns; 0 where it says nothing."""
    index = torch.arange(1, packed.ids.shape[1] + 1, device=packed.columns.device)
    return torch.where(packed.columns >= 0, index, 0).amax(1)


def scope_named(name: str) -> Scope:
    """A scope by its name; :class:`BaseError` if there is none."""
    if name not in (FULL, SUFFIX):
        raise BaseError(f"There is no scope {name!r}: adapters act on the whole text (full) or on its end (suffix).")
    return "suffix" if name == SUFFIX else "full"


def check_scope(scope: Scope, kind: AdapterKind, attribution: str = "attention") -> None:
    """Raise :class:`AdapterError` for what has no meaning where adapters act on the end of a text."""
    if scope == SUFFIX and kind.needs_full_model:
        raise AdapterError(
            f"Adapters of kind {kind.name} need the whole text, and with scope suffix an adapter acts on the question "
            "alone. Take a kind that changes layers (lora, dora, ia3, svf), or --scope full."
        )
    if scope == SUFFIX and attribution == "gradient":
        raise AdapterError(
            "Reasons as slopes are taken where a row's tokens enter the layers that adapters change, and with scope "
            "suffix they do not. Take attribution='attention', or scope full."
        )
