"""Timing of two ways to do the same work, side by side: on a shared machine only their ratio means anything."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch


class Ratio(NamedTuple):
    """Median seconds of both sides, and how many times faster ``a`` is (median of the ratios round by round)."""

    median_a: float
    median_b: float
    ratio: float


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process for one call; with one thread this is wall time less what others took."""
    start = time.process_time()
    work()
    return time.process_time() - start


def interleaved(a: Callable[[], object], b: Callable[[], object], rounds: int = 5, *, warm_up: bool = True) -> Ratio:
    """Run a, b, a, b, ... with one thread and compare.

    Parameters
    ----------
    a, b : callables without arguments
        The fast side and the baseline.
    rounds : int
        Timed rounds of each.
    warm_up : bool
        Call both once, untimed, before the first round (compilation, caches, first imports).

    Returns
    -------
    Ratio
        ``median_a`` and ``median_b`` in CPU seconds; ``ratio`` is the median of b/a over the rounds, so load that hits
        one round hits both sides of its ratio.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}; at least one round is needed")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if warm_up:
            a(), b()
        pairs = [(seconds(a), seconds(b)) for _ in range(rounds)]
    finally:
        torch.set_num_threads(threads)
    first, second = zip(*pairs, strict=True)
    return Ratio(
        statistics.median(first), statistics.median(second), statistics.median(b / max(a, 1e-9) for a, b in pairs)
    )
