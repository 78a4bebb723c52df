"""Priorities that an operator sets while an engine runs, in place of those of packages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Set
from dataclasses import replace
from typing import TYPE_CHECKING

from serving.error import ServingError

if TYPE_CHECKING:
    from serving.catalogue import Entry
    from serving.router import Router


class Priorities:
    """The router of now, with the priorities that were set; all else of it (outcomes, too) is the same.

    Parameters
    ----------
    router : callable
        The router over the experts that there are now, as their packages are.
    """

    def __init__(self, router: Callable[[], Router | None]) -> None:
        self._router, self._lock = router, threading.Lock()
        self._set: dict[str, float] = {}
        self._made: tuple[Router, Router] | None = None

    def of(self, entry: Entry) -> float:
        """The priority of an expert."""
        return self._set.get(entry.name, entry.priority)

    def set(self, name: str, priority: float | None) -> None:
        """Set one; None gives the package's back.

        Raises
        ------
        ServingError
            ``bad-request`` for what is no number from 0 to 1.
        """
        if priority is not None and (isinstance(priority, bool) or not 0 <= priority <= 1):
            raise ServingError("bad-request", f"The priority of {name!r} is {priority!r}; give a number from 0 to 1.")
        with self._lock:
            if priority is None:
                self._set.pop(name, None)
            else:
                self._set[name] = float(priority)
            self._made = None

    def keep_only(self, names: Set[str]) -> None:
        """Forget those of experts that are gone: another of the same name begins with its own."""
        with self._lock:
            for name in self._set.keys() - names:
                del self._set[name]
                self._made = None

    def router(self) -> Router | None:
        """The router to ask now."""
        router = self._router()
        with self._lock:
            if router is None or not self._set:
                return router
            if self._made is None or self._made[0] is not router:
                self._made = (
                    router,
                    router.over(
                        [
                            replace(one, priority=self._set.get(one.name, one.priority))
                            for one in router.profiles.values()
                        ]
                    ),
                )
            return self._made[1]
