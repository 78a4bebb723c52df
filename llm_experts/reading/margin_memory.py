"""Margins that an expert has given, by what the text depends on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

ENTRIES = 1 << 20
"""Margins of one expert that are kept (about 100 MB)."""


class MarginMemory:
    """Bounded: when full, what was learnt first is forgotten first.

    Parameters
    ----------
    limit : int
        Most entries.
    """

    def __init__(self, limit: int = ENTRIES) -> None:
        self._limit = limit
        self._values: dict[bytes, float] = {}

    def __len__(self) -> int:
        """Number of margins."""
        return len(self._values)

    def missing(self, keys: Sequence[bytes]) -> list[int]:
        """Positions of keys that are not known, each key once."""
        found: dict[bytes, int] = {}
        for index, key in enumerate(keys):
            if key not in self._values:
                found.setdefault(key, index)
        return list(found.values())

    def learn(self, keys: Sequence[bytes], values: Tensor) -> None:
        """Take over values [n]; a key that is known keeps its value, so that an expert does not change its mind."""
        for key, value in zip(keys, values.tolist(), strict=True):
            self._values.setdefault(key, value)
        for key in list(self._values)[: max(0, len(self._values) - self._limit)]:
            del self._values[key]

    def values(self, keys: Sequence[bytes]) -> Tensor:
        """[n] float32 values of known keys."""
        return torch.tensor([self._values[key] for key in keys], dtype=torch.float32)

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
