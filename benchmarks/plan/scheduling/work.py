"""Work that stands on other work: the longest path behind each piece, its order, and what no schedule beats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Work:
    """n pieces of work.

    Attributes
    ----------
    seconds : [n] float64
        How long each takes on one node.
    after : sequence of n tuples of int
        Pieces that must be finished before it; all of them stand before it in the list.
    """

    seconds: Seconds
    after: Sequence[tuple[int, ...]]

    @cached_property
    def rest(self) -> Seconds:
        """[n] Seconds of the longest path that begins with a piece: how long the end is away when it starts."""
        rest = self.seconds.tolist()
        for place in range(len(rest) - 1, -1, -1):
            for before in self.after[place]:
                rest[before] = max(rest[before], float(self.seconds[before]) + rest[place])
        return np.array(rest, dtype=np.float64)

    @property
    def critical(self) -> float:
        """Seconds of the longest path: what any number of nodes needs."""
        return float(self.rest.max(initial=0.0))

    @property
    def total(self) -> float:
        """Seconds on one node."""
        return float(self.seconds.sum())

    def bound(self, nodes: int) -> float:
        """Seconds that no schedule on some nodes beats: of the longest path, or of an equal share each."""
        return max(self.critical, self.total / nodes)


def longest_first(rest: Seconds | Sequence[float]) -> list[int]:
    """Places of pieces in the order in which they are started: the longest way to the end first, ties as they stand.

    Parameters
    ----------
    rest : [n]
        Seconds of the longest path that begins with each; of single pieces, their own.

    References
    ----------
    R. L. Graham (1969), Bounds on multiprocessing timing anomalies; T. C. Hu (1961), Parallel sequencing and
    assembly line problems.
    """
    return sorted(range(len(rest)), key=lambda place: (-rest[place], place))
