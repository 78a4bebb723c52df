"""Hidden states of texts, kept in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from llm_experts.prompts.prompts import Packed


class StateCache:
    """Hidden states of texts by their tokens; the least recently used are dropped first.

    Parameters
    ----------
    limit : int
        Most bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._states: OrderedDict[bytes, Tensor] = OrderedDict()

    def states(self, packed: Packed, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """[n, T, d] hidden states of texts; ``compute`` gives those of the texts at some positions, [m, T, d]."""
        keys = packed.keys()
        missing = [index for index, key in enumerate(keys) if key not in self._states]
        if not missing:
            return self._together(keys, packed.ids.shape[1])
        made = compute(torch.tensor(missing))
        if len(missing) == len(keys):
            states = made
        else:
            kept = [index for index, key in enumerate(keys) if key in self._states]
            states = made.new_zeros((len(keys), *made.shape[1:]))
            states[kept] = self._together([keys[index] for index in kept], made.shape[1])
            states[missing] = made
        lengths = packed.lengths.tolist()
        for index, state in zip(missing, made, strict=True):
            self._add(keys[index], state[: lengths[index]].clone())
        return states

    @property
    def size(self) -> int:
        """Bytes of all that is kept."""
        return self._bytes

    def clear(self) -> None:
        """Drop all."""
        self._states.clear()
        self._bytes = 0

    def _together(self, keys: list[bytes], width: int) -> Tensor:
        """[n, width, d] kept states, padded with zeros."""
        first = self._states[keys[0]]
        states = first.new_zeros((len(keys), width, first.shape[1]))
        for row, key in zip(states, keys, strict=True):
            row[: len(self._states[key])] = self._states[key]
            self._states.move_to_end(key)
        return states

    def _add(self, key: bytes, state: Tensor) -> None:
        if key in self._states:  # the same text twice in one batch
            return
        self._states[key] = state
        self._bytes += state.numel() * state.element_size()
        while self._bytes > self._limit:
            _, old = self._states.popitem(last=False)
            self._bytes -= old.numel() * old.element_size()
