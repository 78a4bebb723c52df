"""Which nodes suit a unit: one that holds what its job has made, and none where it was lost; knows nothing of Ray."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Wish:
    """What Ray is asked for and may pass over, when it has no such node free: a node, or not some nodes."""

    node: str = ""
    avoid: tuple[str, ...] = ()


class Placement:
    """Where the units of jobs ended, and where they were lost."""

    def __init__(self) -> None:
        self._ended: dict[str, Counter[str]] = {}
        self._lost: dict[tuple[str, str], dict[str, None]] = {}

    def ended(self, job: str, node: str) -> None:
        """A unit of a job ended on a node, which now has the job's data, and what its units made, at hand."""
        if node:
            self._ended.setdefault(job, Counter())[node] += 1

    def lost(self, job: str, unit: str, node: str) -> None:
        """A unit was lost on a node: it is to run elsewhere."""
        if node:
            self._lost.setdefault((job, unit), {})[node] = None

    def of(self, job: str, unit: str) -> Wish:
        """What a unit wishes: the node where most of its job ran, and not where it was lost itself."""
        avoid = tuple(self._lost.get((job, unit), ()))
        for node, _ in self._ended.get(job, Counter()).most_common():
            if node not in avoid:
                return Wish(node)
        return Wish(avoid=avoid)
