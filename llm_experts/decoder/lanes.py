"""Lanes: K adapters of one kind in one top, evaluated at once.

Lanes share the frozen weights and whatever they compute alone (``torch.vmap`` computes an unbatched product once).
Lanes of one configuration are one program; lanes of several ranks are as many programs on the same batch.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from llm_experts.adapters.injection import start_state, trainable_names
from llm_experts.adapters.kind import Gradients
from llm_experts.adapters.registry import kind_named, kind_of
from llm_experts.adapters.state import State, adapter_state, flat_states, stack_states
from llm_experts.decoder.cut import CutBase
from llm_experts.decoder.layout import Answers, TopInput
from llm_experts.decoder.program import Adapter, AttachedTop, config_key
from llm_experts.decoder.walk import fused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peft import PeftConfig


@dataclass(frozen=True, eq=False)
class _Part:
    """What lanes of one configuration have in common."""

    attached: AttachedTop
    shapes: Mapping[str, torch.Size]
    trained: tuple[str, ...]

    @property
    def frozen(self) -> tuple[str, ...]:
        return tuple(key for key in self.shapes if key not in self.trained)

    def size(self, keys: Sequence[str]) -> int:
        return sum(self.shapes[key].numel() for key in keys)

    def split(self, flat: Tensor, keys: Sequence[str]) -> State:
        """Tensors [k, ...] by key, views of [k, P]."""
        parts = torch.split(flat[:, : self.size(keys)], [self.shapes[key].numel() for key in keys], 1)
        return {key: part.view(len(flat), *self.shapes[key]) for key, part in zip(keys, parts, strict=True)}


class AdapterLanes:
    """K adapters in one top, flat, so that an optimiser step is a handful of operations for all of them.

    Flat weights [K, P] are the caller's: an optimiser changes them, and this class says what they compute.

    Parameters
    ----------
    cut : CutBase
        Where adapters begin; the base's model stays as it is.
    parts : sequence of (part, stacked states)
        Lanes of one configuration, one part after another.

    Attributes
    ----------
    start : [K, P]
        First weights that train, rows of smaller adapters padded with zeros.
    anchor : [K, P]
        What weight decay draws to: the first weights, where those leave the base as it is, and 0 for LoRA's A.
    """

    def __init__(self, cut: CutBase, parts: Sequence[tuple[_Part, State]]) -> None:
        self.cut = cut
        self._parts = [part for part, states in parts for _ in range(_lanes_of(states))]
        self.start = _padded([flat_states(states, part.trained) for part, states in parts])
        self.anchor = _padded([flat_states(_without_a(states), part.trained) for part, states in parts])
        self._frozen = _padded([flat_states(states, part.frozen) for part, states in parts])
        self._conditioned: dict[int, Gradients] = {}

    @classmethod
    def fresh(
        cls,
        cut: CutBase,
        answer_ids: tuple[int, int],
        kind: str,
        ranks: Sequence[int | None],
        seeds: Sequence[int],
        options: Mapping[str, Any] | None = None,
    ) -> AdapterLanes:
        """Untrained lanes of one kind.

        Parameters
        ----------
        cut, answer_ids
            Base and start, and the token ids of no and yes.
        kind : str
            Of :data:`llm_experts.adapters.registry.ADAPTERS`.
        ranks : sequence of int or None
            Rank of each lane; equal ranks stand together.
        seeds : sequence of int
            A lane's first weights depend on its seed and rank alone.
        options : mapping, optional
            Of the kind's configuration.

        Raises
        ------
        AdapterError
            If the kind needs all layers and the cut is not at layer 0.
        """
        chosen, model = kind_named(kind), cut.base.model
        everywhere = chosen.needs_full_model or cut.start == 0
        layers = None if everywhere else range(cut.start, cut.base.n_layers)
        parts = []
        for rank, members in groupby(zip(ranks, seeds, strict=True), key=lambda pair: pair[0]):
            config = chosen.make_config(rank, layers, model, **dict(options or {}))
            part = _make_part(cut, answer_ids, config)
            starts = [start_state(part.attached.peft_model, seed) for _, seed in members]
            parts.append((part, stack_states(starts)))
        return cls(cut, parts)

    @classmethod
    def of(cls, cut: CutBase, answer_ids: tuple[int, int], adapters: Sequence[Adapter]) -> AdapterLanes:
        """Trained adapters as lanes that train on; neighbours of one configuration are one program."""
        parts = []
        for _, members in groupby(adapters, key=lambda adapter: config_key(adapter.config)):
            same = list(members)
            part = _make_part(cut, answer_ids, same[0].config)
            states = part.attached.lanes([adapter.state for adapter in same])
            parts.append((part, {key: states[key] for key in part.shapes}))
        return cls(cut, parts)

    def __len__(self) -> int:
        """Number of lanes."""
        return len(self._parts)

    def answers(self, theta: Tensor, lanes: slice, given: TopInput) -> Answers:
        """Answers [k, n, ...] of the lanes of a chunk with trained weights ``theta`` [k, P]; differentiable.

        Hidden states are those of all lanes, [n, T, d], or each lane's own, [k, n, T, d].
        """
        part, past = self._parts[lanes.start], given.past or None
        state = part.split(theta, part.trained) | part.split(self._frozen[lanes], part.frozen)
        own = 0 if given.hidden.ndim == 4 else None
        if self.alone and own is None and len(theta) == 1:
            lane = {key: value[0] for key, value in state.items()}
            single = part.attached.answer(lane, given.hidden, given.layout, past=past, attend=fused)
            found: Answers = tree_map(lambda answer: answer[None], single)
            return found
        call: Any = torch.vmap(part.attached.answer, in_dims=(0, own, None, None, None))
        together: Answers = call(state, given.hidden, given.layout, None, past)
        return together

    @property
    def alone(self) -> bool:
        """Whether lanes go one by one: in a deep top of a wide base they share nothing but memory."""
        return self.cut.base.wide and self.cut.base.n_layers - self.cut.start > 1

    def chunks(self, floats: int, texts: int, tokens: int) -> list[slice]:
        """Runs of lanes of one configuration that hold at most ``floats`` activations for texts of a length."""
        size = 1 if self.alone else max(1, floats // self.floats(texts, tokens))
        found, start = [], 0
        for _, run in groupby(self._parts, key=id):
            stop = start + len(list(run))
            found += [slice(a, min(a + size, stop)) for a in range(start, stop, size)]
            start = stop
        return found

    def floats(self, texts: int, tokens: int, seen: int | None = None) -> int:
        """Activations of one lane, roughly: what a backward pass keeps; each token sees ``seen``, or ``tokens``."""
        config = self.cut.base.model.config
        depth = config.num_hidden_layers - self.cut.start
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        keys, heads = config.num_key_value_heads * head, config.num_attention_heads
        last = 10 * keys + 8 * heads
        whole = 14 * config.hidden_size + 6 * config.intermediate_size + 4 * heads * (seen or tokens)
        return int(texts * tokens * (last + (depth - 1) * whole))

    def precondition(self, gradient: Tensor) -> Tensor:
        """The gradient [K, P] as its kind has it (LoRA-FA: that of B projected), in place."""
        for lanes in self.chunks(1 << 62, 1, 1):
            part = self._parts[lanes.start]
            make = kind_of(part.attached.config).preconditioner
            if make is None:
                continue
            if lanes.start not in self._conditioned:
                self._conditioned[lanes.start] = make(
                    part.split(self._frozen[lanes], part.frozen), part.attached.config
                )
            changed = self._conditioned[lanes.start](part.split(gradient[lanes], part.trained))
            gradient[lanes, : part.size(part.trained)] = flat_states(changed, part.trained)
        return gradient

    def select(self, lanes: Tensor) -> AdapterLanes:
        """Some of the lanes, in order, sharing the tops."""
        chosen = copy.copy(self)
        chosen._parts = [self._parts[lane] for lane in lanes.tolist()]
        chosen.start, chosen.anchor, chosen._frozen = self.start[lanes], self.anchor[lanes], self._frozen[lanes]
        chosen._conditioned = {}
        return chosen

    def state(self, lane: int, theta: Tensor) -> State:
        """A lane's weights under the keys of PEFT's file format; ``theta`` [P] are those that train."""
        part = self._parts[lane]
        both = part.split(theta[None], part.trained) | part.split(self._frozen[lane : lane + 1], part.frozen)
        return {key: both[key][0].detach().clone() for key in part.shapes}

    def adapter(self, lane: int, theta: Tensor) -> Adapter:
        """A lane as an adapter that can be saved and attached."""
        return Adapter(self._parts[lane].attached.config, self.state(lane, theta))


def _make_part(cut: CutBase, answer_ids: tuple[int, int], config: PeftConfig) -> _Part:
    attached = AttachedTop(cut.base, cut.start, answer_ids, config)
    shapes = {key: value.shape for key, value in adapter_state(attached.peft_model).items()}
    return _Part(attached, shapes, trainable_names(attached.peft_model))


def _lanes_of(states: State) -> int:
    return len(next(iter(states.values())))


def _without_a(states: State) -> State:
    return {key: value * (".lora_A." not in key) for key, value in states.items()}


def _padded(parts: Sequence[Tensor]) -> Tensor:
    width = max(part.shape[1] for part in parts)
    return torch.cat([torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in parts])
