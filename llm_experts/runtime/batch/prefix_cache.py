"""Keys and values of prompts that were read, for prompts that begin the same.

Kept in blocks of :data:`BLOCK` tokens. A block's key is a digest of the base, the composition and all tokens up to its
end, so that a chain of blocks is found token by token (as in vLLM's automatic prefix caching). The least recently used
block goes first; of one chain that is its last, since a chain is touched from its end to its beginning.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

BLOCK = 16


class PrefixCache:
    """Blocks of keys and values, bounded in bytes.

    Parameters
    ----------
    size : int
        Most bytes; 0 keeps nothing.
    """

    def __init__(self, size: int) -> None:
        self.size, self.bytes = size, 0
        self._blocks: OrderedDict[bytes, Tensor] = OrderedDict()

    def __len__(self) -> int:
        """Number of blocks."""
        return len(self._blocks)

    def find(self, root: str, tokens: Sequence[int], most: int) -> list[Tensor]:
        """Blocks [layers, 2, BLOCK, kv_heads, head_dim] of the longest beginning of at most ``most`` tokens.

        Parameters
        ----------
        root : str
            What decides keys and values beside the tokens: base and composition.
        tokens : sequence of int
        most : int
        """
        if not self._blocks:
            return []
        keys = chain(root, tokens[:most])
        count = next((index for index, key in enumerate(keys) if key not in self._blocks), len(keys))
        for key in reversed(keys[:count]):
            self._blocks.move_to_end(key)
        return [self._blocks[key] for key in keys[:count]]

    def missing(self, root: str, tokens: Sequence[int]) -> list[tuple[int, bytes]]:
        """Start and key of every whole block that is not kept; those that are count as used."""
        if not self.size:
            return []
        keys = chain(root, tokens)
        for key in reversed(keys):
            if key in self._blocks:
                self._blocks.move_to_end(key)
        return [(index * BLOCK, key) for index, key in enumerate(keys) if key not in self._blocks]

    def keep(self, blocks: Sequence[tuple[bytes, Tensor]]) -> None:
        """Keep blocks of one chain, given in its order; the oldest blocks make room."""
        for key, block in reversed(blocks):
            size = block.numel() * block.element_size()
            if key in self._blocks or size > self.size:
                continue
            self._blocks[key] = block
            self.bytes += size
        while self.bytes > self.size:
            _, gone = self._blocks.popitem(last=False)
            self.bytes -= gone.numel() * gone.element_size()

    def clear(self) -> None:
        """Forget all."""
        self._blocks.clear()
        self.bytes = 0


def chain(root: str, tokens: Sequence[int]) -> list[bytes]:
    """Keys of the whole blocks of a text."""
    digest, keys = hashlib.sha256(root.encode()), []
    for start in range(0, len(tokens) - BLOCK + 1, BLOCK):
        digest.update(array("q", tokens[start : start + BLOCK]).tobytes())
        keys.append(digest.digest())
    return keys


def joined(blocks: Sequence[Tensor]) -> Tensor:
    """[layers, 2, tokens, kv_heads, head_dim] of blocks one after the other."""
    return torch.cat(list(blocks), 2)
