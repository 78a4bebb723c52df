"""Keys and values of the rows of a batch in one array, which the library's layers write to and read from.

A row has its tokens from the left, so that a token's place is its position, and what lies behind a row's last token
counts for nothing (``allowed``). It must be a number for that: 0 times no number is none, so :meth:`KeyValues.wipe`
goes over what a request leaves whose values overflowed. Rows of a forward pass are neighbours: they are read as they
lie, without a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from llm_experts.bases.base import Base

GRAIN = 64
"""Room grows by at least as many tokens."""


class KeyValues:
    """[layers, 2, rows, room, kv_heads, head_dim] keys (rotated) and values; grows as it is needed.

    Parameters
    ----------
    base : Base
    """

    def __init__(self, base: Base) -> None:
        config: Any = base.model.config
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._shape = (base.n_layers, 2, heads, head_dim)
        self._dtype, self._device = base.model.dtype, base.device
        self._array = self._empty(0, 0)

    @property
    def bytes(self) -> int:
        """Of the whole array."""
        return self._array.numel() * self._array.element_size()

    @property
    def bytes_per_token(self) -> int:
        """Of keys and values of one token in all layers."""
        layers, two, heads, head_dim = self._shape
        return int(layers * two * heads * head_dim * self._array.element_size())

    @property
    def size(self) -> tuple[int, int]:
        """Rows and room of each."""
        return self._array.shape[2], self._array.shape[3]

    def reserve(self, rows: int, room: int) -> None:
        """Make room for as many rows and for ``room`` tokens in each, which is all that any row needs to keep.

        What is there stays. Where the array has to be made anew, room that no row needs any more is given back.
        """
        have_rows, have_room = self.size
        if rows <= have_rows and room <= have_room:
            return
        new_rows = max(rows, 2 * have_rows) if rows > have_rows else have_rows
        wanted = room * 3 // 2 if room > have_room > 0 else room
        larger = self._empty(new_rows, -(-wanted // GRAIN) * GRAIN)
        kept_rows, kept = min(have_rows, rows), min(have_room, room)
        larger[:, :, :kept_rows, :kept] = self._array[:, :, :kept_rows, :kept]
        self._array = larger

    def release(self) -> None:
        """Give the memory back."""
        self._array = self._empty(0, 0)

    def wipe(self, filled: Sequence[int]) -> None:
        """Zeros behind the tokens of the first rows, and in all other rows."""
        for row, tokens in enumerate(filled):
            self._array[:, :, row, tokens:] = 0
        self._array[:, :, len(filled) :] = 0

    def read(self, row: int, start: int, end: int) -> Tensor:
        """[layers, 2, tokens, kv_heads, head_dim] a copy of some tokens of a row."""
        return self._array[:, :, row, start:end].clone()

    def write(self, row: int, start: int, given: Tensor) -> None:
        """Put tokens [layers, 2, tokens, kv_heads, head_dim] into a row."""
        self._array[:, :, row, start : start + given.shape[2]] = given

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first tokens of a row over another row."""
        if source != target:
            self._array[:, :, target, :length] = self._array[:, :, source, :length]

    def swap(self, first: int, second: int, length: int) -> None:
        """Exchange the first tokens of two rows."""
        if first != second:
            pair = self._array[:, :, [second, first], :length]
            self._array[:, :, [first, second], :length] = pair

    def window(self, first: int, starts: list[int], width: int) -> Window:
        """What a forward pass of ``width`` tokens behind ``starts`` tokens of neighbouring rows uses as its cache."""
        return Window(self._array, first, torch.tensor(starts, device=self._device), max(starts) + width, width)

    def _empty(self, rows: int, room: int) -> Tensor:
        layers, two, heads, head_dim = self._shape
        return torch.zeros(layers, two, rows, room, heads, head_dim, dtype=self._dtype, device=self._device)


class Window(Cache):
    """The cache of one forward pass: some neighbouring rows, and where their next tokens go.

    Parameters
    ----------
    array : Tensor
        Of :class:`KeyValues`.
    first : int
        The first of the rows.
    starts : [n] int64
        Tokens that each row has.
    end : int
        As many tokens are looked at.
    width : int
        New tokens of each row.
    """

    def __init__(self, array: Tensor, first: int, starts: Tensor, end: int, width: int) -> None:
        super().__init__(layers=[])
        self._array, self._rows, self._end = array, slice(first, first + len(starts)), end
        steps = torch.arange(width, device=starts.device)
        self.positions = starts[:, None] + steps
        offset = torch.arange(first, first + len(starts), device=starts.device)[:, None] * array.shape[3]
        self._places = (offset + self.positions).flatten()

    def allowed(self) -> Tensor:
        """[n, 1, width, end] bool: each token sees those before it in its row, and itself."""
        return (torch.arange(self._end, device=self.positions.device) <= self.positions[:, :, None])[:, None]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write new keys and values [n, kv_heads, width, head_dim]; all of the rows, [n, kv_heads, end, head_dim]."""
        found = []
        for array, states in zip(self._array[layer_idx], (key_states, value_states), strict=True):
            array.flatten(0, 1).index_copy_(0, self._places, states.transpose(1, 2).flatten(0, 1))
            found.append(array[self._rows, : self._end].transpose(1, 2))
        return found[0], found[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens of the longest row before this pass."""
        del layer_idx
        return int(self.positions[:, 0].max())
