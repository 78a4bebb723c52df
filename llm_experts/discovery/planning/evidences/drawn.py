"""Vectors drawn at random: what a plan is worth that knows nothing of the domains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foundation.seeding import numpy_generator

NUMBERS = 16


def drawn_vectors(domains: int, blocks: int, seed: int = 0) -> NDArray[np.float32]:
    """[D, blocks, p] standard normal vectors, one for each domain, the same for all its blocks.

    Without noise between blocks their similarities are stable, and about nothing.
    """
    drawn = numpy_generator(seed, "random evidence").normal(size=(domains, 1, NUMBERS))
    return np.repeat(drawn, blocks, 1).astype(np.float32)
