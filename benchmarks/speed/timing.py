"""Timing of two ways to do the same work, side by side: on a shared machine only their ratio means anything."""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
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


def base_arguments(description: str | None) -> argparse.Namespace:
    """What benchmarks of language experts are asked: ``base``, a published model or None, ``rounds`` and ``items``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--base", default=os.environ.get("FAIRMOE_REAL_BASE"), help="folder of a published model")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds per side (default 3; 1 has no warm-up)")
    parser.add_argument("--items", type=int, default=32, help="items that a published model learns (default 32)")
    return parser.parse_args()


class Process(NamedTuple):
    """Median seconds of a process from its start to its end: of the processor, and on the clock."""

    cpu: float
    wall: float

    def __str__(self) -> str:
        return f"{self.cpu:.2f} s of CPU ({self.wall:.2f} s)"


def fresh(arguments: Sequence[str], *, rounds: int, environment: Mapping[str, str] | None = None) -> Process:
    """Time a Python process that has just been started.

    Parameters
    ----------
    arguments : sequence of str
        For the interpreter.
    rounds : int
        Processes, one after the other.
    environment : mapping, optional
        Variables besides those of this process.

    Raises
    ------
    subprocess.CalledProcessError
        If one fails.
    """
    taken = []
    for _ in range(rounds):
        cpu, wall = _of_children(), time.perf_counter()
        place = {**os.environ, **(environment or {})}
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=place)
        taken.append((_of_children() - cpu, time.perf_counter() - wall))
    return Process(*map(statistics.median, zip(*taken, strict=True)))


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def machine_load() -> str:
    """What else the machine does: wall time means little when it has more to do than processors."""
    return f"load of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
