"""Row experts in memory: few, the one asked longest ago goes, one that was uninstalled goes at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from serving.error import ServingError

if TYPE_CHECKING:
    from serving.catalogue import Entry
    from serving.row_model import OpenRows, RowModel


class RowModels:
    """A bounded store of row experts; safe between threads.

    Parameters
    ----------
    open_rows : callable, optional
        Reads one.
    most : int
        Kept at once; pinned ones do not count.
    """

    def __init__(self, open_rows: OpenRows | None, most: int) -> None:
        self._open, self._most = open_rows, most
        self._held: OrderedDict[str, tuple[str, RowModel]] = OrderedDict()
        self._pinned: set[str] = set()
        self._lock, self._opening = threading.RLock(), threading.Lock()

    def get(self, entry: Entry) -> RowModel:
        """The model of an entry, read if it is not there or another one now has its name.

        Raises
        ------
        ServingError
            ``bad-request`` if this engine reads no row experts.
        """
        if (there := self._there(entry)) is not None:
            return there
        if self._open is None:
            raise ServingError("bad-request", "This engine was made without row experts; ask it for text.")
        with self._opening:  # one after the other; whoever looks at what is there does not wait for it
            if (there := self._there(entry)) is not None:
                return there
            model = self._open(entry.name)
            with self._lock:
                self._held[entry.name] = entry.content, model
                self._held.move_to_end(entry.name)
                self._shrink()
            return model

    def _there(self, entry: Entry) -> RowModel | None:
        with self._lock:
            held = self._held.get(entry.name)
            if held is None or held[0] != entry.content:
                return None
            self._held.move_to_end(entry.name)
            return held[1]

    def _shrink(self) -> None:
        free = [name for name in self._held if name not in self._pinned]
        for name in free[: max(0, len(free) - self._most)]:
            del self._held[name]

    def keep_only(self, names: set[str]) -> None:
        """Let those go that are no longer installed."""
        with self._lock:
            for name in [name for name in self._held if name not in names]:
                self.drop(name)

    def drop(self, name: str) -> None:
        """Let one go."""
        with self._lock:
            self._held.pop(name, None)
            self._pinned.discard(name)

    def pin(self, name: str, pinned: bool) -> None:
        """Keep one, or no longer."""
        with self._lock:
            (self._pinned.add if pinned else self._pinned.discard)(name)
            self._shrink()

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names in memory."""
        with self._lock:
            return tuple(self._held)

    @property
    def pinned(self) -> frozenset[str]:
        """Names that stay."""
        with self._lock:
            return frozenset(self._pinned)
