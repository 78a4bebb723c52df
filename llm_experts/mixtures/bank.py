"""Bank of stacked adapters: any mixture per row or token in two extra matrix products per matrix.

K adapters lie side by side: the rows of A and of Bᵀ of all of them are R = Σ r_k hidden units. For a gate α a matrix
computes W x + Σ_k α_k Δ_k(x), the base and the weighted sum of what each adapter alone adds there
(:mod:`llm_experts.adapters.deltas`):

1. gains of columns: IA³ on inputs scales x before W, IA³ and DoRA on outputs scale W x;
2. low-rank sums: (α ⊙ (x Aᵀ)) Bᵀ of LoRA, rsLoRA, LoRA-FA and DoRA, two products whatever K is;
3. singular values: SVF's multipliers are mixed (z = max(0, 1 + Σ_k α_k (z_k - 1))) and cost two products for all.

Every term sees the x and the W x that the base has, so the order above is that of the computation, not of the result:
kinds can be mixed in one batch, and each adapter adds the same beside others as alone. Layers above see the mixed
output, so a mixture's logits are not the sum of its adapters' logits.

A zero gate is the base, a one-hot gate the adapter, and equal adapters whose gates sum to 1 are that adapter.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from llm_experts.adapters.delta import Delta, Place
from llm_experts.adapters.deltas import adapter_deltas
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.kind import ALL_LINEAR
from llm_experts.adapters.store import SavedAdapter, check_base, read_adapter
from llm_experts.adapters.svf.multipliers import mixed_offsets
from llm_experts.bases.base import Base

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch.utils.hooks import RemovableHandle

    Source = Path | SavedAdapter | tuple[PeftConfig, Mapping[str, Tensor]]


class Gate(NamedTuple):
    """Mixtures that a bank has prepared; it holds until a slot that it uses is filled anew.

    Attributes
    ----------
    slots : Tensor
        [rows or 1, tokens or 1, K].
    units : Tensor
        The same for the hidden units of the used slots, times the adapters' scaling.
    range : slice
        Those units among all R.
    terms : frozenset of str
        What the adapters in the used slots add (:class:`llm_experts.adapters.delta.Delta`).
    """

    slots: Tensor
    units: Tensor
    range: slice
    terms: frozenset[str]

    def fitted(self, x: Tensor) -> Gate:
        """The gate as it is broadcast to an input [rows, ..., in]; tokens are the second dimension of three."""
        rows, tokens = self.slots.shape[:2]
        if rows not in (1, len(x)) or (tokens != 1 and (x.ndim != 3 or tokens != x.shape[1])):
            raise AdapterError(
                f"The gate is for {rows} rows and {tokens} tokens, but the batch is {tuple(x.shape[:-1])}; give one "
                "gate for all rows, or one per row of the batch (and one per token of it)."
            )
        if x.ndim == 3:
            return self
        between = [1] * (x.ndim - 2)
        slots, units = (part.reshape(*part.shape[:1], *between, part.shape[-1]) for part in (self.slots, self.units))
        return self._replace(slots=slots, units=units)


@dataclass
class _Matrix:
    """Arrays of all slots at one place; gains [K, out or in] exist when an adapter has them."""

    a: Tensor
    bt: Tensor
    gain: Tensor | None = None
    offset: Tensor | None = None
    input_gain: Tensor | None = None
    singular: _Singular | None = None


@dataclass
class _Singular:
    """Singular vectors of a place, as many as the largest adapter tunes, and each slot's multipliers less 1.

    ``v`` [in, k], ``sut`` [k, out] is diag(σ) Uᵀ, ``multipliers`` [K, k].
    """

    v: Tensor
    sut: Tensor
    multipliers: Tensor


TERMS = ("a", "gain", "offset", "input_gain", "multiplier")
NOTHING = Delta()


class _Running(threading.local):
    """What a thread computes with: its gate, and inputs of matrices by their identity while they run."""

    def __init__(self) -> None:
        self.gate: Gate | None = None
        self.inputs: dict[int, Tensor] = {}


class AdapterBank:
    """K slots for adapters of a base.

    Parameters
    ----------
    base : Base
        May be quantised: its matrices are called, never read, but by DoRA when it is loaded.
    ranks : sequence of int
        Largest rank that each slot takes.
    places : iterable of Place, optional
        Matrices that have slots; by default the seven of every layer.
    dtype : torch.dtype, optional
        Of the arrays; by default that of the base's activations.

    Attributes
    ----------
    names : tuple of str
        Of the adapters that are loaded, by slot; an empty slot is ``""``.
    """

    def __init__(
        self,
        base: Base,
        ranks: Sequence[int],
        places: Sequence[Place] | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if not ranks:
            raise AdapterError("A bank needs at least one slot.")
        self.base, self.ranks = base, tuple(ranks)
        self._layers = _decoder_layers(base)
        self._dtype = base.model.dtype if dtype is None else dtype
        self._starts = [sum(ranks[:slot]) for slot in range(len(ranks) + 1)]
        self._slot_of_unit = torch.repeat_interleave(torch.tensor(ranks)).to(base.device)
        self._scaling = torch.zeros(len(ranks), dtype=self._dtype, device=base.device)
        chosen = all_places(base) if places is None else places
        self._matrices = {place: self._empty(place) for place in chosen}
        self._loaded: OrderedDict[str, int] = OrderedDict()
        self._terms: list[frozenset[str]] = [frozenset()] * len(ranks)
        self._running = _Running()
        self._handles: list[RemovableHandle] = []
        self._lock, self._open = threading.Lock(), 0

    @classmethod
    def from_adapters(
        cls,
        base: Base,
        adapters: Sequence[Source] | Mapping[str, Source],
        dtype: torch.dtype | None = None,
    ) -> AdapterBank:
        """A bank with just the room that these adapters need.

        Parameters
        ----------
        base : Base
        adapters : sequence, or mapping by name
            Folders, what :func:`llm_experts.adapters.store.read_adapter` returns, or pairs of configuration and state.

        Raises
        ------
        AdapterError
            If an adapter belongs to another base or is made of virtual tokens.
        """
        named = adapters if isinstance(adapters, Mapping) else {str(i): a for i, a in enumerate(adapters)}
        layers = _decoder_layers(base)
        deltas = {name: _deltas(source, base, layers) for name, source in named.items()}
        ranks = [max(delta.rank for delta in found.values()) for found in deltas.values()]
        places = sorted({place for found in deltas.values() for place in found})
        bank = cls(base, ranks, places, dtype)
        for slot, (name, found) in enumerate(deltas.items()):
            bank._fill(slot, name, found)
        return bank

    def __len__(self) -> int:
        """Number of slots."""
        return len(self.ranks)

    @property
    def names(self) -> tuple[str, ...]:
        """What is loaded, by slot."""
        by_slot = {slot: name for name, slot in self._loaded.items()}
        return tuple(by_slot.get(slot, "") for slot in range(len(self)))

    # -- loading ------------------------------------------------------------------------------------------------------

    def load_slot(self, slot: int, adapter: Source, name: str | None = None) -> None:
        """Copy an adapter into a slot, over what is there.

        Raises
        ------
        AdapterError
            If the adapter's rank is larger than the slot's, or it changes matrices that have no slots.
        """
        self._fill(slot, str(slot) if name is None else name, _deltas(adapter, self.base, self._layers))

    def load_deltas(self, slot: int, name: str, deltas: Mapping[Place, Delta]) -> None:
        """Copy what an adapter adds into a slot, over what is there; other slots may be computed with meanwhile.

        Raises
        ------
        AdapterError
            As :meth:`load_slot`.
        """
        self._fill(slot, name, deltas)

    def load(self, name: str, adapter: Source) -> int:
        """The slot of an adapter, loaded if it is not there: into an empty slot or over the least recently used."""
        if name in self._loaded:
            self._loaded.move_to_end(name)
            return self._loaded[name]
        free = [slot for slot, held in enumerate(self.names) if not held]
        slot = free[0] if free else next(iter(self._loaded.values()))
        self.load_slot(slot, adapter, name)
        return slot

    @torch.no_grad()
    def clear_slot(self, slot: int) -> None:
        """Empty a slot: its gate then has no effect."""
        self._forget(slot)
        torch._foreach_zero_(self._left(slot, {}))

    def _forget(self, slot: int) -> None:
        for name in [name for name, held in self._loaded.items() if held == slot]:
            del self._loaded[name]
        self._terms[slot] = frozenset()
        self._scaling[slot] = 0

    def _left(self, slot: int, deltas: Mapping[Place, Delta]) -> list[Tensor]:
        """The parts of a slot's arrays that ``deltas`` do not write."""
        first, last = self._starts[slot], self._starts[slot + 1]
        left: list[Tensor] = []
        for place, matrix in self._matrices.items():
            delta = deltas.get(place, NOTHING)
            left += [matrix.a[first + delta.rank : last], matrix.bt[first + delta.rank : last]]
            for term in ("gain", "offset", "input_gain"):
                array = getattr(matrix, term)
                if array is not None and getattr(delta, term) is None:
                    left.append(array[slot])
            if matrix.singular is not None:
                tuned = 0 if delta.multiplier is None else len(delta.multiplier)
                left.append(matrix.singular.multipliers[slot, tuned:])
        return [part for part in left if part.numel()]

    def weights(self, mixtures: Sequence[Mapping[str, float]]) -> Tensor:
        """[rows, K] gate of mixtures by adapters' names; what is named counts as used.

        Raises
        ------
        AdapterError
            If an adapter is not loaded.
        """
        gate = torch.zeros(len(mixtures), len(self))
        for row, mixture in enumerate(mixtures):
            for name, weight in mixture.items():
                if name not in self._loaded:
                    raise AdapterError(f"Adapter {name!r} is not in the bank; load it first. There: {self.names}.")
                self._loaded.move_to_end(name)
                gate[row, self._loaded[name]] = weight
        return gate

    @torch.no_grad()
    def _fill(self, slot: int, name: str, deltas: Mapping[Place, Delta]) -> None:
        self._check_room(slot, name, deltas)
        self._forget(slot)
        left = self._left(slot, deltas)
        if left:
            torch._foreach_zero_(left)
        into: list[Tensor] = []
        given: list[Tensor] = []
        scaling = 0.0
        for place, delta in deltas.items():
            matrix, first = self._matrices[place], self._starts[slot]
            if delta.a is not None and delta.b is not None:
                into += [matrix.a[first : first + delta.rank], matrix.bt[first : first + delta.rank]]
                given += [delta.a, delta.b.T]
                scaling = delta.scaling
            for term in ("gain", "offset", "input_gain"):
                value = getattr(delta, term)
                if value is not None:
                    into.append(self._gains(matrix, term)[slot])
                    given.append(value)
            if delta.multiplier is not None:
                k = len(delta.multiplier)
                into.append(self._singular(matrix, delta).multipliers[slot, :k])
                given.append(delta.multiplier)
        torch._foreach_copy_(into, given)
        self._scaling[slot] = scaling
        self._terms[slot] = frozenset(t for delta in deltas.values() for t in TERMS if getattr(delta, t) is not None)
        self._loaded[name] = slot

    def _check_room(self, slot: int, name: str, deltas: Mapping[Place, Delta]) -> None:
        if not 0 <= slot < len(self):
            raise AdapterError(f"The bank has slots 0 to {len(self) - 1}; there is no slot {slot}.")
        rank = max(delta.rank for delta in deltas.values())
        if rank > self.ranks[slot]:
            raise AdapterError(
                f"Adapter {name!r} has rank {rank}, slot {slot} takes {self.ranks[slot]}; make the bank with that rank."
            )
        missing = sorted(deltas.keys() - self._matrices.keys())
        if missing:
            place = missing[0]
            raise AdapterError(
                f"Adapter {name!r} changes {place.name} of layer {place.layer}, which has no slots in this bank; make "
                "the bank for all places."
            )
        for place, delta in deltas.items():
            self._check_shapes(name, place, delta)

    def _check_shapes(self, name: str, place: Place, delta: Delta) -> None:
        width, height = self._matrices[place].a.shape[1], self._matrices[place].bt.shape[1]
        sizes = (
            (delta.a, (delta.rank, width)), (delta.b, (height, delta.rank)), (delta.gain, (height,)),
            (delta.offset, (height,)), (delta.input_gain, (width,)),
        )  # fmt: skip
        for given, expected in sizes:
            if given is not None and given.shape != expected:
                raise AdapterError(
                    f"Adapter {name!r} has weights {tuple(given.shape)} for {place.name} of layer {place.layer}, which "
                    f"needs {tuple(expected)}: it belongs to another base."
                )

    def _gains(self, matrix: _Matrix, term: str) -> Tensor:
        """[K, n] gains of a term, made when first needed."""
        found = getattr(matrix, term)
        if found is None:
            width = matrix.a.shape[1] if term == "input_gain" else matrix.bt.shape[1]
            found = torch.zeros(len(self), width, dtype=self._dtype, device=self.base.device)
            setattr(matrix, term, found)
        return found  # type: ignore[no-any-return]

    def _singular(self, matrix: _Matrix, delta: Delta) -> _Singular:
        """Singular vectors for at least the multipliers of ``delta``."""
        assert delta.multiplier is not None
        k, found = len(delta.multiplier), matrix.singular
        if found is None or found.multipliers.shape[1] < k:
            assert delta.spectrum is not None
            u, s, v = (part.to(self.base.device) for part in delta.spectrum)
            multipliers = torch.zeros(len(self), k, dtype=torch.float32, device=self.base.device)
            if found is not None:
                multipliers[:, : found.multipliers.shape[1]] = found.multipliers
            scaled = (u[:, :k] * s[:k]).T
            found = _Singular(
                v[:, :k].to(self._dtype, copy=True), scaled.to(self._dtype, copy=True).contiguous(), multipliers
            )
            matrix.singular = found
        return found

    def _empty(self, place: Place) -> _Matrix:
        module: Any = self._layers[place.layer].get_submodule(place.name)
        a, bt = (
            torch.zeros(self._starts[-1], width, dtype=self._dtype, device=self.base.device)
            for width in (module.in_features, module.out_features)
        )
        return _Matrix(a, bt)

    # -- running ------------------------------------------------------------------------------------------------------

    @contextmanager
    def gate(self, weights: Tensor | Gate) -> Iterator[AdapterBank]:
        """Within, the base (or what the bank is attached to) computes the mixture of each row.

        Parameters
        ----------
        weights : [K], [rows, K] or [rows, tokens, K]
            One mixture for all rows, one per row, or one per token. Gradients flow to it. Or what :meth:`prepared` has
            made of them.

        Raises
        ------
        AdapterError
            If the last dimension is not K; while running, if rows or tokens are not those of the batch.
        """
        before, prepared = self._running.gate, weights if isinstance(weights, Gate) else self.prepared(weights)
        self._enter()
        self._running.gate = prepared
        try:
            yield self
        finally:
            self._running.gate = before
            if before is None:
                self._running.inputs.clear()
            self._leave()

    def _enter(self) -> None:
        """Hook the bank to the base if it is attached to nothing; gates of other threads share the hooks."""
        with self._lock:
            if not self._handles:
                self.attach()
                self._open = 1
            elif self._open:
                self._open += 1

    def _leave(self) -> None:
        """Take the hooks off that the first gate put on, once the last one closes."""
        with self._lock:
            if self._open:
                self._open -= 1
                if not self._open:
                    self.detach()

    def attach(self, layers: nn.ModuleList | None = None, start: int = 0) -> None:
        """Hook the bank to decoder layers; without a gate they compute what they did.

        Parameters
        ----------
        layers : nn.ModuleList, optional
            The base's own by default; or a copy, such as a ``Top``'s.
        start : int
            Number of the first of ``layers`` in the base.

        Raises
        ------
        AdapterError
            If the bank is attached already.
        """
        if self._handles:
            raise AdapterError("The bank is attached already; detach it first.")
        modules = self._layers if layers is None else layers
        for place, matrix in self._matrices.items():
            if start <= place.layer < start + len(modules):
                self._hook(modules[place.layer - start].get_submodule(place.name), matrix)

    def detach(self) -> None:
        """Take the hooks off; the layers are as they were."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def prepared(self, weights: Tensor, used: Sequence[int] | None = None) -> Gate:
        """A gate that can be used again and again.

        Parameters
        ----------
        weights
            As for :meth:`gate`.
        used : sequence of int, optional
            Slots that have a weight in, where known: only what adapters in them add is computed; by default all.

        Raises
        ------
        AdapterError
            If the last dimension of ``weights`` is not K.
        """
        if weights.ndim not in (1, 2, 3) or weights.shape[-1] != len(self):
            raise AdapterError(
                f"A gate of shape {tuple(weights.shape)} does not fit {len(self)} adapters; give [{len(self)}], "
                f"[rows, {len(self)}] or [rows, tokens, {len(self)}]."
            )
        slots = weights.to(self.base.device, self._dtype)
        slots = slots[None, None] if slots.ndim == 1 else slots[:, None] if slots.ndim == 2 else slots
        chosen = range(len(self)) if used is None else used
        first = min((self._starts[slot] for slot in chosen), default=0)
        units = slice(first, max((self._starts[slot + 1] for slot in chosen), default=first))
        terms = frozenset().union(*(self._terms[slot] for slot in chosen))
        return Gate(slots, (slots * self._scaling)[..., self._slot_of_unit[units]], units, terms)

    def _hook(self, module: nn.Module, matrix: _Matrix) -> None:
        """Hooks are plain functions: copies of the layers share them, and with them this bank.

        What runs belongs to its thread: the gate, and the input between the two hooks.
        """
        running = self._running

        def before(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            if running.gate is None:
                return None
            running.inputs[id(matrix)] = args[0]
            if matrix.input_gain is None or "input_gain" not in running.gate.terms:
                return None
            slots = running.gate.fitted(args[0]).slots
            return (args[0] * (1 + slots @ matrix.input_gain).to(args[0].dtype), *args[1:])

        def after(_module: nn.Module, _args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            if running.gate is None:
                return None
            x = running.inputs.pop(id(matrix))
            return self._mixed(module, matrix, x, output, running.gate.fitted(x))

        self._handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

    def _mixed(self, module: nn.Module, matrix: _Matrix, x: Tensor, output: Tensor, gate: Gate) -> Tensor:
        """The output plus what the adapters add; ``x`` is the input before gains."""
        added, terms = output, gate.terms
        if matrix.gain is not None and "gain" in terms:
            own = output if matrix.input_gain is None or "input_gain" not in terms else _forward(module)(x)
            added = added + (gate.slots @ matrix.gain).to(own.dtype) * own
        if matrix.offset is not None and "offset" in terms:
            added = added + (gate.slots @ matrix.offset).to(output.dtype)
        singular = matrix.singular
        if singular is not None and "multiplier" in terms:
            z = mixed_offsets(singular.multipliers, gate.slots.float()).to(self._dtype)
            added = self._plus(added, (x.to(self._dtype) @ singular.v) * z, singular.sut)
        if gate.range.start < gate.range.stop and "a" in terms:
            units = (x.to(self._dtype) @ matrix.a[gate.range].T) * gate.units
            added = self._plus(added, units, matrix.bt[gate.range])
        return added

    def _plus(self, output: Tensor, units: Tensor, rows: Tensor) -> Tensor:
        """``output + units @ rows``, without a copy of a large output where nothing has to be remembered."""
        if torch.is_grad_enabled() or output.dtype != self._dtype:
            return output + (units @ rows).to(output.dtype)
        output.view(-1, output.shape[-1]).addmm_(units.view(-1, units.shape[-1]), rows)
        return output


def all_places(base: Base) -> list[Place]:
    """The matrices of every decoder layer that adapters change by default."""
    return [
        Place(index, name)
        for index, layer in enumerate(_decoder_layers(base))
        for name, _ in layer.named_modules()
        if name.rpartition(".")[2] in ALL_LINEAR
    ]


def _decoder_layers(base: Base) -> nn.ModuleList:
    model: Any = base.model
    found: nn.ModuleList = model.get_decoder().layers
    return found


def _forward(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """The module without hooks."""
    return module.forward


def _deltas(adapter: Source, base: Base, layers: nn.ModuleList) -> dict[Place, Delta]:
    if isinstance(adapter, Path):
        folder = adapter
        saved = read_adapter(folder)
        check_base(saved, base, folder)
        return adapter_deltas(saved.config, saved.state, layers)
    if isinstance(adapter, SavedAdapter):
        check_base(adapter, base, Path("memory"))
        return adapter_deltas(adapter.config, adapter.state, layers)
    config, state = adapter
    return adapter_deltas(config, state, layers)
