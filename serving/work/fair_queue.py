"""One bounded queue for requests of all kinds: by priority, clients in turn, nobody waits forever."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Place(Generic[Item]):
    """A place in the queue.

    Attributes
    ----------
    item : object
    lane : str
        Which worker takes it.
    priority : int
    client : str
    number : int
        Order of arrival.
    """

    item: Item
    lane: str
    priority: int
    client: str
    number: int


class _Lane(Generic[Item]):
    """Places of one worker: priority → client, in whose turn it is → places in order of arrival."""

    def __init__(self) -> None:
        self.levels: dict[int, OrderedDict[str, deque[Place[Item]]]] = {}
        self.turns = 0

    def all(self) -> list[Place[Item]]:
        return [place for clients in self.levels.values() for places in clients.values() for place in places]

    def add(self, place: Place[Item]) -> None:
        self.levels.setdefault(place.priority, OrderedDict()).setdefault(place.client, deque()).append(place)

    def next(self, patience: int) -> Place[Item] | None:
        if not self.levels:
            return None
        self.turns += 1
        if self.turns % patience == 0:
            place = min(self.all(), key=lambda place: place.number)
        else:
            place = next(iter(self.levels[max(self.levels)].values()))[0]
        self.levels[place.priority].move_to_end(place.client)  # its next turn comes after everybody else's
        return self.remove(place)

    def remove(self, place: Place[Item]) -> Place[Item]:
        clients = self.levels[place.priority]
        clients[place.client].remove(place)
        if not clients[place.client]:
            del clients[place.client]
        if not clients:
            del self.levels[place.priority]
        return place


class FairQueue(Generic[Item]):
    """A bounded queue for several workers; safe between threads.

    Within a lane the highest priority comes first; within a priority clients take turns, and a client's own requests
    keep their order. Every ``patience``-th turn goes to whoever has waited longest, so a request with k older ones in
    its lane has left after at most ``patience`` (k + 1) turns, whatever comes after it. A full queue refuses, unless
    another client holds more places than the newcomer's would: then that client's newest request of the lowest priority
    (not above the newcomer's) makes room (longest queue drop; Suter et al. 1999), so that none can shut others out.

    Parameters
    ----------
    limit : int
        Places of all lanes together.
    patience : int
    """

    def __init__(self, limit: int, patience: int = 16) -> None:
        if limit < 1 or patience < 1:
            raise ValueError(f"limit and patience are at least 1, not {limit} and {patience}.")
        self.limit, self.patience = limit, patience
        self._lanes: dict[str, _Lane[Item]] = {}
        self._held: Counter[str] = Counter()
        self._number = 0
        self._changed = threading.Condition()

    def __len__(self) -> int:
        with self._changed:
            return self._held.total()

    def put(self, item: Item, *, lane: str, priority: int = 0, client: str = "") -> tuple[bool, Item | None]:
        """Take a place.

        Returns
        -------
        (bool, object or None)
            Whether it waits now, and what was pushed out for it.
        """
        with self._changed:
            pushed = None
            if self._held.total() >= self.limit:
                pushed = self._pushed_out(client, priority)
                if pushed is None:
                    return False, None
                self._remove(pushed)
            self._number += 1
            self._held[client] += 1
            self._lanes.setdefault(lane, _Lane()).add(Place(item, lane, priority, client, self._number))
            self._changed.notify_all()
            return True, None if pushed is None else pushed.item

    def take(self, lane: str, timeout: float | None = 0.0) -> Item | None:
        """The next of a lane; None when there was none for ``timeout`` seconds (None: wait), or on :meth:`wake`."""
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while (place := self._next(lane)) is None:
                left = None if end is None else end - time.monotonic()
                if (left is not None and left <= 0) or not self._changed.wait(left):
                    return None
                if not self._lanes.get(lane, _Lane()).levels:
                    return None  # woken for something else: its worker looks around
            return place.item

    def take_all(self, wanted: Callable[[Item], bool]) -> list[Item]:
        """Take every item that is wanted, in order of arrival, from all lanes."""
        with self._changed:
            every = sorted((place for lane in self._lanes.values() for place in lane.all()), key=lambda p: p.number)
            found = [place for place in every if wanted(place.item)]
            for place in found:
                self._remove(place)
            return [place.item for place in found]

    def wake(self) -> None:
        """Have waiting workers look around."""
        with self._changed:
            self._changed.notify_all()

    def _next(self, lane: str) -> Place[Item] | None:
        place = self._lanes[lane].next(self.patience) if lane in self._lanes else None
        if place is not None:
            self._forget(place)
        return place

    def _remove(self, place: Place[Item]) -> None:
        self._lanes[place.lane].remove(place)
        self._forget(place)

    def _forget(self, place: Place[Item]) -> None:
        self._held[place.client] -= 1
        if not self._held[place.client]:
            del self._held[place.client]

    def _pushed_out(self, client: str, priority: int) -> Place[Item] | None:
        """Whose request makes room for one of ``client``."""
        most = max(self._held.values())
        if self._held[client] + 1 >= most:
            return None
        heavy = [name for name, count in self._held.items() if count == most]
        every = [place for lane in self._lanes.values() for place in lane.all()]
        movable = [place for place in every if place.client in heavy and place.priority <= priority]
        return min(movable, key=lambda place: (place.priority, -place.number), default=None)
