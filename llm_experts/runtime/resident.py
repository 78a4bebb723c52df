"""The base that stays in memory, and the adapters that come and go on it.

Adapters that change matrices lie in the slots of a bank, whose arrays are allocated once: to load one is to copy it, to
switch is to give another gate, and requests with different compositions share a batch. An adapter of virtual tokens
needs no slot: it stands ahead of the text (:mod:`llm_experts.runtime.prefix`).
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import own_copy
from llm_experts.adapters.store import SavedAdapter
from llm_experts.bases.base import Base
from llm_experts.mixtures.bank import AdapterBank, Gate
from llm_experts.runtime.composition import Composition, CompositionError
from llm_experts.runtime.prefix import Prefix, VirtualTokens, check_virtual, joined
from llm_experts.runtime.prepared import Prepared, Source, prepare, rank_in
from llm_experts.runtime.slots import SlotsFullError, SlotTable

__all__ = ["CompositionError", "InUseError", "Prefix", "ResidentBase", "ResidentStats", "SlotsFullError", "rank_in"]
IN_SLOT = Prepared("", {})
"""Stands for an adapter that lies in a slot and is kept nowhere else."""
GATES = 64
"""Gates that are kept: a batch of the same requests runs with the same one, step after step."""


class InUseError(SlotsFullError):
    """An adapter that is to be replaced while requests run on it; whoever needs the new one waits for their end."""

    def __init__(self, name: str, uses: int) -> None:
        super().__init__(
            f"{uses} requests run on expert {name!r}; replace it when they have ended, or give the new one another "
            "name.",
            permanent=False,
        )


@dataclass(frozen=True)
class ResidentStats:
    """Numbers of a resident base so far.

    Attributes
    ----------
    slots, taken : int
    loads, evictions : int
        Adapters copied into slots, and taken out for others.
    memory : int
        Bytes of adapters that are kept ready outside of slots.
    """

    slots: int
    taken: int
    loads: int
    evictions: int
    memory: int


class ResidentBase:
    """A base with slots for adapters.

    Parameters
    ----------
    base : Base
        It stays as it is: the slots are on a copy that shares its weights.
    slots : int
        Adapters that lie on the base at once; those of virtual tokens need none.
    rank : int
        Largest rank of an adapter.
    memory_mb : int
        Of adapters that were read, which are kept ready to come back into a slot.

    Attributes
    ----------
    base : Base
        What to compute with, inside :meth:`run`.

    Notes
    -----
    Any number of threads may use it. A gate belongs to the thread that called :meth:`run`.
    """

    def __init__(self, base: Base, *, slots: int = 8, rank: int = 16, memory_mb: int = 1024) -> None:
        if slots < 1 or rank < 1:
            raise AdapterError(f"{slots} slots of rank {rank}: a resident base needs at least one slot of rank 1.")
        self.base, self.rank = own_copy(base), rank
        self._bank = AdapterBank(self.base, [rank] * slots)
        self._bank.attach()
        self._table = SlotTable(slots)
        self._lock = threading.RLock()
        self._sources: dict[str, Source] = {}
        self._versions: dict[str, int] = {}
        self._ready: OrderedDict[str, Prepared] = OrderedDict()
        self._leaving: set[str] = set()
        self._most, self._loads = memory_mb * 2**20, 0
        self._gates: OrderedDict[tuple[Composition, ...], Gate | None] = OrderedDict()
        model: Any = self.base.model
        self._layers = model.get_decoder().layers

    # -- which adapters there are -------------------------------------------------------------------------------------

    def known(self, name: str, source: Path | SavedAdapter, *, order: int = 0, base_hash: str = "") -> None:
        """Say where an adapter lies: it is loaded when a request first needs it.

        Parameters
        ----------
        name : str
        source : Path or SavedAdapter
        order : int
            Load order of its package; virtual tokens stand in this order, then by name.
        base_hash : str
            Of the base of a plain PEFT folder, which has no ``fairmoe.json``.

        Raises
        ------
        InUseError
            If it is another adapter than before, and requests run on that one.
        """
        Composition(((name, 1.0),))
        told = Source.named(source, order, base_hash)
        with self._lock:
            before = self._sources.get(name)
            if before is not None and before.same(told):
                return
            if self._table.uses(name):
                raise InUseError(name, self._table.uses(name))
            self._drop(name)
            self._sources[name] = told
            self._versions[name] = self._versions.get(name, -1) + 1

    def forget(self, name: str) -> None:
        """An adapter that is gone: requests that run keep it, later ones are refused."""
        with self._lock:
            self._sources.pop(name, None)
            self.unload(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Adapters that are known, sorted."""
        return tuple(sorted(self._sources))

    @property
    def loaded(self) -> tuple[str, ...]:
        """Adapters that a request need not wait for: those in slots and virtual tokens in memory, sorted."""
        with self._lock:
            virtual = [name for name, ready in self._ready.items() if ready.virtual is not None]
            return tuple(sorted({*self._table.names, *virtual}))

    @property
    def pinned(self) -> tuple[str, ...]:
        """Adapters that stay loaded, sorted."""
        return tuple(sorted(self._table.pinned))

    @property
    def stats(self) -> ResidentStats:
        """Numbers so far."""
        with self._lock:
            memory = sum(ready.bytes for ready in self._ready.values())
            table = self._table
            return ResidentStats(table.count, len(table.names), self._loads, table.evictions, memory)

    # -- loading ------------------------------------------------------------------------------------------------------

    def load(
        self,
        name: str,
        source: Path | SavedAdapter | None = None,
        *,
        pin: bool = False,
        order: int = 0,
        base_hash: str = "",
    ) -> None:
        """Bring an adapter into a slot, in the place of the least recently used one if all are taken.

        Parameters
        ----------
        name, source, order, base_hash
            As for :meth:`known`; without a source the one that is known.
        pin : bool
            Keep it there.

        Raises
        ------
        AdapterError
            If it cannot be read, belongs to another base or has a larger rank than the slots.
        SlotsFullError
            If all slots are in use or pinned.
        InUseError
            See :meth:`known`.
        """
        if source is not None:
            self.known(name, source, order=order, base_hash=base_hash)
        with self.lease([Composition(((name, 1.0),))]), self._lock:
            if pin:
                self._table.pin(name)

    def unload(self, name: str) -> None:
        """Free an adapter's slot and memory; while requests run on it, when the last of them ends."""
        with self._lock:
            self._table.unpin(name)
            if self._table.uses(name):
                self._leaving.add(name)
            else:
                self._drop(name)

    def pin(self, name: str) -> None:
        """Load an adapter and keep it loaded; see :meth:`load`."""
        self.load(name, pin=True)

    def unpin(self, name: str) -> None:
        """Let an adapter's slot be taken by others again."""
        with self._lock:
            self._table.unpin(name)

    def _drop(self, name: str) -> None:
        self._ready.pop(name, None)
        self._leaving.discard(name)
        slot = self._table.remove(name)
        if slot is not None:
            self._bank.clear_slot(slot)
            self._gates.clear()

    def _read(self, name: str) -> tuple[Source, Prepared]:
        """An adapter in memory, and the source that it is of. Slow parts run without the lock."""
        with self._lock:
            source, ready = self._source(name), self._ready.get(name)
            if ready is not None:
                self._ready.move_to_end(name)
                return source, ready
            if self._table.slot(name) is not None:
                return source, IN_SLOT
        found = prepare(name, source, self.base, self._layers)
        if found.rank > self.rank:
            raise AdapterError(
                f"Expert {name!r} has rank {found.rank}, and the slots of this base take {self.rank} at most; start it "
                f"with rank {found.rank}."
            )
        with self._lock:  # a request that has to wait for a slot asks again at every step
            whole = found.without_spectra() is found  # else its first slot still needs what is not kept
            if whole and self._sources.get(name) is source:
                self._keep({name: found})
        return source, found

    def _source(self, name: str) -> Source:
        if name not in self._sources:
            there = ", ".join(self.names[:8]) or "none"
            raise AdapterError(f"There is no expert {name!r} on this base; there are: {there}. Load it first.")
        return self._sources[name]

    # -- using --------------------------------------------------------------------------------------------------------

    @contextmanager
    def lease(self, compositions: Sequence[Composition]) -> Iterator[None]:
        """Within, all adapters of the compositions are loaded and stay so, whatever other threads load.

        Raises
        ------
        AdapterError
            If an adapter is not known or cannot be read.
        CompositionError
            If a composition is not defined.
        SlotsFullError
            If there are not enough slots that nobody uses.
        """
        names = sorted({name for composition in compositions for name in composition.names})
        while not self._acquire(names, compositions):
            pass
        try:
            yield
        finally:
            self._release(names)

    def _acquire(self, names: Sequence[str], compositions: Iterable[Composition]) -> bool:
        """Load and hold adapters; False if one was replaced while it was read."""
        read = {name: self._read(name) for name in names}
        with self._lock:
            if any(self._changed(name, source, prepared) for name, (source, prepared) in read.items()):
                return False
            ready = {name: prepared for name, (_, prepared) in read.items()}
            for composition in compositions:
                check_virtual(composition, _virtual(composition, ready))
            self._fill({name: prepared for name, prepared in ready.items() if prepared.deltas is not None})
            self._table.use(names)
            self._leaving.difference_update(names)
            self._keep(ready)
            return True

    def _changed(self, name: str, source: Source, prepared: Prepared) -> bool:
        """Whether an adapter was replaced, or has lost its slot, since it was read."""
        gone = prepared is IN_SLOT and self._table.slot(name) is None
        return gone or self._source(name) is not source

    def _fill(self, wanted: dict[str, Prepared]) -> None:
        """Copy adapters into slots that have none."""
        placed = self._table.place(wanted)
        if placed:
            self._gates.clear()
        try:
            for name, slot in placed.items():
                deltas = wanted[name].deltas
                assert deltas is not None
                self._bank.load_deltas(slot, name, deltas)
                self._loads += 1
        except AdapterError:
            for name in placed:
                self._drop(name)
            raise

    def _keep(self, ready: dict[str, Prepared]) -> None:
        """Keep adapters ready as far as memory goes; virtual tokens that are in use or pinned stay in any case."""
        for name, prepared in ready.items():
            if prepared is not IN_SLOT:
                if prepared is not self._ready.get(name):
                    self._ready[name] = prepared.without_spectra()
                self._ready.move_to_end(name)
        taken = sum(prepared.bytes for prepared in self._ready.values())
        for name, prepared in list(self._ready.items()):
            if taken <= self._most:
                break
            needed = self._table.uses(name) or name in self._table.pinned
            if prepared.virtual is None or not needed:
                del self._ready[name]
                taken -= prepared.bytes

    def _release(self, names: Sequence[str]) -> None:
        with self._lock:
            self._table.leave(names)
            for name in names:
                if name in self._leaving and not self._table.uses(name):
                    self._drop(name)

    @contextmanager
    def run(self, compositions: Sequence[Composition]) -> Iterator[None]:
        """Within, :attr:`base` computes ``compositions[i]`` in row i of a batch, for this thread.

        Raises
        ------
        CompositionError
            If an adapter is not held by a lease.
        """
        gate = self._gate(tuple(compositions))
        if gate is None:
            yield
        else:
            with self._bank.gate(gate):
                yield

    def _gate(self, compositions: tuple[Composition, ...]) -> Gate | None:
        with self._lock:
            for name in {name for composition in compositions for name, _ in composition.parts}:
                if not self._table.uses(name):
                    raise CompositionError(f"Expert {name!r} runs without a lease; run compositions within lease().")
            if compositions in self._gates:
                self._gates.move_to_end(compositions)
                return self._gates[compositions]
            gate = self._gates[compositions] = self._made(compositions)
            while len(self._gates) > GATES:
                self._gates.popitem(last=False)
            return gate

    def _made(self, compositions: Sequence[Composition]) -> Gate | None:
        """The gate of a batch; None where every row is the base, perhaps with virtual tokens."""
        weights = torch.zeros(len(compositions), self._table.count)
        used = set()
        for row, composition in enumerate(compositions):
            for name, weight in composition.parts:
                slot = self._table.slot(name)
                if slot is not None:
                    weights[row, slot] = weight
                    used.add(slot)
        return self._bank.prepared(weights, sorted(used)) if used else None

    def prefix(self, composition: Composition) -> Prefix:
        """Virtual tokens that stand ahead of a text; see :mod:`llm_experts.runtime.prefix`.

        Raises
        ------
        AdapterError, CompositionError
            As :meth:`lease`.
        """
        ready = {name: self._read(name)[1] for name in composition.names}
        virtual = _virtual(composition, ready)
        check_virtual(composition, virtual)
        return joined(virtual, self.base.hidden_size, self.base.model.dtype, self.base.device)

    def fingerprint(self, composition: Composition) -> str:
        """What a cache of keys and values is kept under: as :attr:`Composition.key`, and other after a replacement."""
        with self._lock:
            return json.dumps([(name, weight, self._versions.get(name, 0)) for name, weight in composition.parts])


def _virtual(composition: Composition, ready: dict[str, Prepared]) -> list[VirtualTokens]:
    found = (ready[name].virtual for name in composition.names)
    return [tokens for tokens in found if tokens is not None]
