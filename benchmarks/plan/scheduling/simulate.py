"""List scheduling of work on nodes, event by event: overhead of each unit, slow ones, nodes that die."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from benchmarks.plan.scheduling.work import Seconds, Work, longest_first

ENDED, DIED, BACK = range(3)
"""Events of a simulation."""


@dataclass(frozen=True)
class Conditions:
    """What is not ideal about the nodes.

    Attributes
    ----------
    overhead : float
        Seconds that each unit costs beyond its work.
    spread : float
        Standard deviation of the logarithm of a unit's seconds around what was expected; its mean stays.
    lifetime : float or None
        Mean seconds until a busy node dies (exponential); its unit starts anew elsewhere. None: they never do.
    repair : float
        Seconds until a dead node is back.
    seed : int
    """

    overhead: float = 0.0
    spread: float = 0.0
    lifetime: float | None = None
    repair: float = 600.0
    seed: int = 0


@dataclass(frozen=True)
class Schedule:
    """What a simulation came to.

    Attributes
    ----------
    makespan : float
        Seconds from the first start to the last end.
    bound : float
        Seconds that no schedule of the same units beats, without deaths: :meth:`Work.bound`.
    deaths : int
    lost : float
        Node-seconds of work that died with its node.
    starts : [n] float64
        When the attempt of each unit began that ended well.
    """

    makespan: float
    bound: float
    deaths: int
    lost: float
    starts: Seconds

    @property
    def ratio(self) -> float:
        """Makespan over its lower bound, at least 1."""
        return self.makespan / self.bound if self.bound else 1.0


def simulate(work: Work, nodes: int, conditions: Conditions = Conditions()) -> Schedule:
    """Whenever a node is free, the ready unit with the longest expected way to the end starts on it.

    Parameters
    ----------
    work : Work
        Units with the seconds that were expected; the order follows these.
    nodes : int
        Alike, with one unit at a time each.
    conditions : Conditions
    """
    generator = np.random.default_rng(conditions.seed)
    real = Work(_realised(work.seconds, conditions, generator), work.after)
    return _Run(work, real, nodes, conditions, generator).run()


def _realised(seconds: Seconds, conditions: Conditions, generator: np.random.Generator) -> Seconds:
    noise = generator.standard_normal(len(seconds))
    factors: Seconds = np.exp(conditions.spread * noise - conditions.spread**2 / 2)
    realised: Seconds = seconds * factors + conditions.overhead
    return realised


class _Run:
    """The state of a simulation."""

    def __init__(self, work: Work, real: Work, nodes: int, conditions: Conditions, generator: np.random.Generator):
        self._real, self._nodes, self._conditions, self._generator = real, nodes, conditions, generator
        self._seconds: list[float] = real.seconds.tolist()
        self._rank = {place: rank for rank, place in enumerate(longest_first(work.rest.tolist()))}
        self._waits = [len(before) for before in work.after]
        self._behind: list[list[int]] = [[] for _ in work.after]
        for place, before in enumerate(work.after):
            for other in before:
                self._behind[other].append(place)
        self._ready = sorted((self._rank[place], place) for place, count in enumerate(self._waits) if not count)
        self._events: list[tuple[float, int, int]] = []
        self._starts = np.zeros(len(self._waits))
        self._deaths, self._lost = 0, 0.0

    def run(self) -> Schedule:
        """Let events happen until the last unit has ended."""
        now, end, free, left = 0.0, 0.0, self._nodes, len(self._waits)
        while left:
            while free and self._ready:
                self._start(heapq.heappop(self._ready)[1], now)
                free -= 1
            now, event, place = heapq.heappop(self._events)
            if event == DIED:
                self._die(place, now)
                continue
            free += 1
            if event == ENDED:
                left, end = left - 1, now
                self._release(place)
        return Schedule(end, self._real.bound(self._nodes), self._deaths, self._lost, self._starts)

    def _start(self, place: int, now: float) -> None:
        seconds, lifetime = self._seconds[place], self._conditions.lifetime
        life = float("inf") if lifetime is None else float(self._generator.exponential(lifetime))
        self._starts[place] = now
        heapq.heappush(self._events, (now + min(life, seconds), DIED if life < seconds else ENDED, place))

    def _die(self, place: int, now: float) -> None:
        self._deaths += 1
        self._lost += now - float(self._starts[place])
        heapq.heappush(self._ready, (self._rank[place], place))
        heapq.heappush(self._events, (now + self._conditions.repair, BACK, place))

    def _release(self, place: int) -> None:
        for other in self._behind[place]:
            self._waits[other] -= 1
            if not self._waits[other]:
                heapq.heappush(self._ready, (self._rank[other], other))
