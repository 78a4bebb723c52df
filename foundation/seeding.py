"""Seeds from names: one suite seed in, an independent stream for every named part out."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, *words: str | int) -> int:
    """63-bit seed of the part that ``words`` name; changes with the seed and with every word."""
    return _digest(seed, *words) >> 1  # torch takes 63 bits


def numpy_generator(seed: int, *words: str | int) -> np.random.Generator:
    """NumPy generator of a named part."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, *words)))


def named_generator(*words: str) -> np.random.Generator:
    """NumPy generator of words alone: the same page from the same table, whatever the seed of its run was."""
    return np.random.Generator(np.random.PCG64(_digest(*words)))


def torch_generator(seed: int, *words: str | int) -> torch.Generator:
    """CPU torch generator of a named part."""
    import torch  # seconds, which planning a run need not take

    return torch.Generator().manual_seed(derive_seed(seed, *words))


def _digest(*words: str | int) -> int:
    """64 bits of the words' sha256."""
    text = "\x1f".join(map(str, words))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
