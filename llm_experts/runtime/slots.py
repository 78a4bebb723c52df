"""Who lies in which slot, who is in use, and who has to go: no weights, only names."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable

from llm_experts.adapters.error import AdapterError


class SlotsFullError(AdapterError):
    """No slot is left for an adapter: those that are there are in use or pinned.

    Attributes
    ----------
    permanent : bool
        Whether waiting is of no use: all at once would need more slots than there are without the pinned ones.
    """

    def __init__(self, text: str, *, permanent: bool) -> None:
        super().__init__(text)
        self.permanent = permanent


class SlotTable:
    """Slots by name, in the order of their last use.

    A name that is in use or pinned keeps its slot. Not safe between threads: its owner holds a lock.

    Attributes
    ----------
    count : int
        Number of slots.
    evictions : int
        Adapters that had to go for others so far.
    """

    def __init__(self, count: int) -> None:
        self.count, self.evictions = count, 0
        self._slots: OrderedDict[str, int] = OrderedDict()
        self._uses: Counter[str] = Counter()
        self._pinned: set[str] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """What lies in slots, the least recently used first."""
        return tuple(self._slots)

    @property
    def pinned(self) -> frozenset[str]:
        """Names that stay until they are unpinned."""
        return frozenset(self._pinned)

    def slot(self, name: str) -> int | None:
        """The slot of a name, if it has one."""
        return self._slots.get(name)

    def uses(self, name: str) -> int:
        """How many hold a name at the moment."""
        return self._uses[name]

    def use(self, names: Iterable[str]) -> None:
        """Hold names, which have slots or need none."""
        for name in names:
            self._uses[name] += 1
            if name in self._slots:
                self._slots.move_to_end(name)

    def leave(self, names: Iterable[str]) -> None:
        """Let go of names that were held."""
        for name in names:
            self._uses[name] -= 1
            if self._uses[name] <= 0:
                del self._uses[name]

    def pin(self, name: str) -> None:
        """Keep a name's slot; it may get one later."""
        self._pinned.add(name)

    def unpin(self, name: str) -> None:
        """Let a name's slot be taken again."""
        self._pinned.discard(name)

    def remove(self, name: str) -> int | None:
        """Take a name out of its slot, which is then free."""
        self._pinned.discard(name)
        return self._slots.pop(name, None)

    def place(self, names: Collection[str]) -> dict[str, int]:
        """Give slots to those of ``names`` that have none: free ones, then those of the least recently used.

        Returns
        -------
        dict
            The new ones, by name; who had to go is out of the table.

        Raises
        ------
        SlotsFullError
            If there are too few; nothing has changed then.
        """
        missing = [name for name in names if name not in self._slots]
        free = sorted(set(range(self.count)) - set(self._slots.values()))
        idle = [n for n in self._slots if n not in names and not self._uses[n] and n not in self._pinned]
        if len(missing) > len(free) + len(idle):
            raise self._full(names, len(missing), len(free) + len(idle))
        for name in idle[: max(0, len(missing) - len(free))]:
            free.append(self._slots.pop(name))
            self.evictions += 1
        found = dict(zip(missing, free, strict=False))
        self._slots.update(found)
        return found

    def _full(self, names: Collection[str], missing: int, there: int) -> SlotsFullError:
        others = self._pinned & self._slots.keys() - set(names)
        permanent = len(names) > self.count - len(others)
        remedy = (
            "Load the base with more slots, unpin some or compose fewer experts." if permanent else "Wait for them."
        )
        return SlotsFullError(
            f"{missing} experts have to be loaded and {there} of {self.count} slots can be had: the others are in use "
            f"({sum(1 for name in self._slots if self._uses[name])}) or pinned ({len(self._pinned)}). {remedy}",
            permanent=permanent,
        )
