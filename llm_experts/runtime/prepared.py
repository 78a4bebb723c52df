"""An adapter read, checked against its base and brought into the form in which it is copied into a slot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from llm_experts.adapters.delta import Delta, Place
from llm_experts.adapters.deltas import adapter_deltas
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.registry import kind_of
from llm_experts.adapters.soft_prompt import KEY
from llm_experts.adapters.store import CONFIG, FACTS, WEIGHTS, SavedAdapter, check_base, read_adapter, read_foreign
from llm_experts.bases.base import Base
from llm_experts.runtime.prefix import VirtualTokens

LORA = "LORA"
Stamp = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Source:
    """Where an adapter lies.

    Attributes
    ----------
    at : Path or SavedAdapter
        A folder, with ``fairmoe.json`` or without, or what was read from one.
    order : int
        The load order of its package: virtual tokens stand in this order.
    base_hash : str
        Of the base that a folder without ``fairmoe.json`` belongs to, as its package tells it.
    stamp : tuple
        Times and sizes of its files when it was named.
    """

    at: Path | SavedAdapter
    order: int = 0
    base_hash: str = ""
    stamp: Stamp = ()

    @classmethod
    def named(cls, at: Path | SavedAdapter, order: int, base_hash: str) -> Source:
        """A source as it is now."""
        return cls(at, order, base_hash, stamp_of(at) if isinstance(at, Path) else ())

    def same(self, other: Source) -> bool:
        """Whether both are the same adapter, unchanged."""
        same = self.at == other.at if isinstance(self.at, Path) else self.at is other.at
        return same and (self.order, self.base_hash, self.stamp) == (other.order, other.base_hash, other.stamp)

    def read(self, base: Base) -> SavedAdapter:
        """The adapter, which belongs to ``base``.

        Raises
        ------
        AdapterError
            As :func:`llm_experts.adapters.store.read_adapter`; if it was trained on another base.
        """
        if isinstance(self.at, SavedAdapter):
            saved, folder = self.at, Path("memory")
        else:
            folder = self.at
            plain = self.base_hash and not (folder / FACTS).exists()
            saved = read_foreign(folder, self.base_hash) if plain else read_adapter(folder)
        check_base(saved, base, folder)
        return saved


def stamp_of(folder: Path) -> Stamp:
    """Times of change and sizes of an adapter's files; of those that are there."""
    paths = [folder / name for name in (CONFIG, WEIGHTS, FACTS)]
    found = [path.stat() for path in paths if path.exists()]
    return tuple((stat.st_mtime_ns, stat.st_size) for stat in found)


@dataclass(frozen=True, eq=False)
class Prepared:
    """An adapter in memory; one of ``deltas`` and ``virtual`` is there.

    Attributes
    ----------
    kind : str
    deltas : mapping or None
        What it adds, by matrix, on the base's device or the CPU.
    virtual : VirtualTokens or None
    """

    kind: str
    deltas: Mapping[Place, Delta] | None = None
    virtual: VirtualTokens | None = None

    @property
    def rank(self) -> int:
        """Rank of its matrices."""
        return max((delta.rank for delta in (self.deltas or {}).values()), default=0)

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        tensors = [t for delta in (self.deltas or {}).values() for t in _tensors(delta)]
        if self.virtual is not None:
            tensors += [t for t in (self.virtual.embeddings, self.virtual.keys_and_values) if t is not None]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def without_spectra(self) -> Prepared:
        """The same once a bank keeps the singular vectors of its matrices."""
        if self.deltas is None or self.kind != "svf":
            return self
        return replace(self, deltas={place: replace(delta, spectrum=None) for place, delta in self.deltas.items()})


def rank_in(folder: Path) -> int:
    """Largest rank of an adapter's matrices by the configuration in its folder alone; 0 for kinds without one."""
    try:
        fields = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterError(f"{folder / CONFIG} cannot be read: {error}. Copy the adapter again.") from error
    if not isinstance(fields, dict) or fields.get("peft_type") != LORA:
        return 0
    own = fields.get("rank_pattern")
    ranks = [fields.get("r"), *(own.values() if isinstance(own, dict) else ())]
    return max((rank for rank in ranks if isinstance(rank, int)), default=0)


@torch.no_grad()
def prepare(name: str, source: Source, base: Base, layers: nn.ModuleList) -> Prepared:
    """Read an adapter and bring it into its form.

    Raises
    ------
    AdapterError
        See :meth:`Source.read`; if its weights do not fit the base.
    """
    saved = source.read(base)
    kind = kind_of(saved.config)
    if not kind.needs_full_model:
        found = adapter_deltas(saved.config, saved.state, layers)
        return Prepared(kind.name, {place: _laid_out(delta) for place, delta in found.items()})
    if set(saved.state) != {KEY}:
        raise AdapterError(f"Adapter {name!r} is of kind {kind.name}, but its weights are {sorted(saved.state)[:3]}.")
    learnt = saved.state[KEY]
    if kind.keys_and_values is None:
        tokens = VirtualTokens(name, source.order, embeddings=learnt)
    else:
        tokens = VirtualTokens(name, source.order, keys_and_values=kind.keys_and_values(learnt, saved.config))
    _check_virtual_shape(name, tokens, base)
    return Prepared(kind.name, virtual=tokens)


def _laid_out(delta: Delta) -> Delta:
    """B in the order of a slot's rows: it is then copied in one run."""
    return delta if delta.b is None else replace(delta, b=delta.b.T.contiguous().T)


def _tensors(delta: Delta) -> list[Tensor]:
    spectrum = [] if delta.spectrum is None else list(delta.spectrum)
    parts = (delta.a, delta.b, delta.gain, delta.offset, delta.input_gain, delta.multiplier)
    return [part for part in parts if part is not None] + spectrum


def _check_virtual_shape(name: str, tokens: VirtualTokens, base: Base) -> None:
    soft, learnt = tokens.embeddings, tokens.keys_and_values
    fits = soft is None or (soft.ndim == 2 and soft.shape[1] == base.hidden_size)
    if not fits or (learnt is not None and learnt.shape[0] != base.n_layers):
        raise AdapterError(f"The virtual tokens of {name!r} do not fit {base.id}; they belong to another base.")
