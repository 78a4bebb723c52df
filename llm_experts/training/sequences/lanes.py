"""K adapters of one kind over one base, on token sequences."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear, pad

from llm_experts.adapters.injection import start_state
from llm_experts.adapters.kind import Gradients
from llm_experts.adapters.registry import kind_named, kind_of
from llm_experts.adapters.state import State, flat_states, stack_states
from llm_experts.bases.base import Base
from llm_experts.bases.error import BaseError
from llm_experts.decoder.adapted_layers import AdaptedLayers, Attend, causal, masked
from llm_experts.decoder.cut import decoder_of
from llm_experts.decoder.products import frozen_products
from llm_experts.decoder.program import Adapter
from llm_experts.decoder.sampling import Sampled, Sampler
from llm_experts.decoder.token_head import word_logprobs
from llm_experts.decoder.walk import as_blocked
from llm_experts.training.sequences.batch import SHARED, Batch
from llm_experts.training.sequences.lower import LowerLayers, seen
from llm_experts.training.sequences.runs import like_sizes


class Asked(NamedTuple):
    """Where learnt tokens are predicted.

    Attributes
    ----------
    before : [..., b, a] int64
        Index of the token ahead of each learnt one, filled up with 0: the one beside it, or the last of the beginning
        that the texts of a row share.
    places : [..., b, a] int64
        Index of each learnt token, filled up with 1.
    counts : [..., b, a] bool
        Which of them are no fillers.
    """

    before: Tensor
    places: Tensor
    counts: Tensor

    @classmethod
    def of(cls, learnt: Tensor, segments: Tensor) -> Asked:
        """Of the learnt tokens of a batch; both [..., b, t]."""
        number = learnt.sum(-1, keepdim=True)
        most = max(1, int(number.max()))
        order = (~learnt).to(torch.int8).argsort(dim=-1, stable=True)[..., :most]
        counts = torch.arange(most, device=learnt.device) < number
        places = torch.where(counts, order, 1)
        before = places - 1
        begins = segments.gather(-1, order) != segments.gather(-1, torch.where(counts, before, order))
        common = (segments == SHARED).sum(-1, keepdim=True)
        return cls(torch.where(begins & (common > 0), common - 1, before), places, counts)


class SequenceLanes:
    """K adapters of one kind and rank in the layers of one base, flat.

    Trained weights ``theta`` [K, P] are the caller's: an optimiser changes them, and this class says what they compute.

    Parameters
    ----------
    lower : LowerLayers
        What all lanes share.
    layers : AdaptedLayers
        The layers above, with room for the adapters.
    states : mapping
        First weights of the lanes [K, ...] by PEFT's keys.

    Attributes
    ----------
    start : [K, P] float32
        First weights that train.
    anchor : [K, P] float32
        What weight decay draws to: the first weights, where those leave the base as it is, and 0 for LoRA's A.
    """

    def __init__(self, base: Base, lower: LowerLayers, layers: AdaptedLayers, states: State) -> None:
        self.base, self.lower, self.layers = base, lower, layers
        self._frozen_keys = tuple(key for key in layers.shapes if key not in layers.trained)
        device = base.device
        self.start = flat_states(states, layers.trained).to(device)
        without_a = {key: value * (".lora_A." not in key) for key, value in states.items()}
        self.anchor = flat_states(without_a, layers.trained).to(device)
        self._frozen = {key: states[key].to(device) for key in self._frozen_keys}
        self._decoder = decoder_of(base)
        self._bare = AdaptedLayers(base, lower.start, None)
        self._base_logprobs: dict[tuple[bytes, bytes], Tensor] = {}
        self._conditioned: Gradients | None = None

    @classmethod
    def fresh(
        cls,
        base: Base,
        kind: str,
        ranks: Sequence[int | None],
        seeds: Sequence[int],
        start: int = 0,
        adapter_options: Mapping[str, Any] | None = None,
        lower: LowerLayers | None = None,
    ) -> SequenceLanes:
        """Untrained lanes of one kind; a lane's first weights depend on its seed and rank alone.

        Parameters
        ----------
        base : Base
        kind : str
            Of :data:`llm_experts.adapters.registry.ADAPTERS`.
        ranks : sequence of int or None
            All equal.
        seeds : sequence of int
        start : int
            First layer that adapters change; negative counts from the end.
        adapter_options : mapping, optional
            Of the kind's configuration.
        lower : LowerLayers, optional
            Of an earlier call, for the states that it keeps.

        Raises
        ------
        ValueError
            If ranks differ.
        AdapterError
            If the kind needs all layers and ``start`` is above 0, or its configuration is refused.
        """
        if len(set(ranks)) != 1 or len(ranks) != len(seeds):
            raise ValueError("Lanes have one rank and one seed each, all ranks equal; make others of their own.")
        chosen, below = kind_named(kind), lower or LowerLayers(base, start)
        everywhere = chosen.needs_full_model or below.start == 0
        layers = None if everywhere else range(below.start, base.n_layers)
        config = chosen.make_config(ranks[0], layers, base.model, **dict(adapter_options or {}))
        room = AdaptedLayers(base, below.start, config)
        return cls(base, below, room, stack_states([start_state(room.peft_model, seed) for seed in seeds]))

    @classmethod
    def bare(cls, base: Base, start: int = 0, lower: LowerLayers | None = None) -> SequenceLanes:
        """One lane that is the base itself (LoRA's B begins with 0); above ``start`` alone it is adapted."""
        return cls.fresh(base, "lora", [1], [0], start, lower=lower)

    @classmethod
    def of(
        cls, base: Base, adapters: Sequence[Adapter], start: int = 0, lower: LowerLayers | None = None
    ) -> SequenceLanes:
        """Trained adapters of one configuration as lanes that train on."""
        below = lower or LowerLayers(base, start)
        room = AdaptedLayers(base, below.start, adapters[0].config)
        states = stack_states([adapter.state for adapter in adapters])
        return cls(base, below, room, {key: states[key].detach().clone() for key in room.shapes})

    def __len__(self) -> int:
        """Number of lanes."""
        return len(self.start)

    @property
    def parameter_count(self) -> int:
        """Numbers that train, of one lane."""
        return self.start.shape[1]

    def select(self, lanes: Tensor) -> SequenceLanes:
        """Some of the lanes, in order, sharing all that is frozen."""
        chosen = copy.copy(self)
        chosen.start, chosen.anchor = self.start[lanes], self.anchor[lanes]
        chosen._frozen = {key: value[lanes] for key, value in self._frozen.items()}
        chosen._conditioned = None
        return chosen

    @contextmanager
    def checkpointing(self) -> Iterator[None]:
        """Within, activations of a layer are computed again in the backward pass instead of being kept."""
        before, self.layers.checkpointing = self.layers.checkpointing, True
        try:
            yield
        finally:
            self.layers.checkpointing = before

    # -- what lanes compute -------------------------------------------------------------------------------------------

    def token_logprobs(self, theta: Tensor, batch: Batch) -> Tensor:
        """[K, b, t] float32 log-probability of every learnt token, 0 elsewhere; differentiable once.

        Lanes with texts of their own go through the layers in runs of like size, so that short texts are not padded to
        the long ones of another lane.
        """
        runs = [] if batch.shared else like_sizes(batch)
        if len(runs) < 2:
            return self._token_logprobs(theta, batch)
        found = theta.new_zeros(batch.ids.shape, dtype=torch.float32)
        for run in runs:
            chosen, part = torch.tensor(run, device=theta.device), batch.of_lanes(run)
            own = self.select(chosen)._token_logprobs(theta[chosen], part)
            rows, width = (whole - some for whole, some in zip(batch.ids.shape[1:], part.ids.shape[1:], strict=True))
            found = found.index_copy(0, chosen, pad(own, (0, width, 0, rows)))
        return found

    def _token_logprobs(self, theta: Tensor, batch: Batch) -> Tensor:
        asked = Asked.of(batch.learnt, batch.segments)
        with frozen_products(self.base):
            final = self._final(theta, batch, asked)
            return self._scattered(final, batch, asked, len(self))

    def logits(self, theta: Tensor, batch: Batch) -> Tensor:
        """[K, m, V] float32 logits at the learnt tokens, in the order of ``batch.ids[batch.learnt]``.

        Where lanes have texts of their own, m is that of the lane with the most; rows behind a lane's own are 0.
        """
        asked = Asked.of(batch.learnt, batch.segments)
        with frozen_products(self.base):
            found = self._logits_of(self._final(theta, batch, asked))
        return _rows(found, asked.counts)

    @torch.no_grad()
    def base_logits(self, batch: Batch) -> Tensor:
        """[m, V] or [K, m, V] as :meth:`logits`, of the base without adapters."""
        asked = Asked.of(batch.learnt, batch.segments)
        with frozen_products(self.base):
            found = _rows(self._logits_of(self._final_of_base(batch, asked)), asked.counts)
        return found[0] if batch.shared else found

    @torch.no_grad()
    def base_logprobs(self, batch: Batch) -> Tensor:
        """[b, t] log-probability of every learnt token under the base itself, 0 elsewhere; kept for the next epoch.

        [K, b, t] where lanes have texts of their own.
        """
        flat = [x.reshape(-1, x.shape[-1]).cpu() for x in (batch.ids, batch.segments, batch.learnt)]
        ends = batch.lengths.flatten().tolist()
        keys = [
            (ids[:end].numpy().tobytes(), torch.stack([seg[:end], learnt[:end]]).numpy().tobytes())
            for ids, seg, learnt, end in zip(*flat, ends, strict=True)
        ]
        if any(key not in self._base_logprobs for key in keys):
            asked = Asked.of(batch.learnt, batch.segments)
            with frozen_products(self.base):
                found = self._scattered(self._final_of_base(batch, asked), batch, asked, 1).reshape(len(keys), -1)
            for key, row, end in zip(keys, found, ends, strict=True):
                self._base_logprobs[key] = row[:end].clone()
        out = torch.zeros(batch.ids.shape, device=batch.device).view(len(keys), -1)
        for row, key, end in zip(out, keys, ends, strict=True):
            row[:end] = self._base_logprobs[key]
        return out.view(batch.ids.shape)

    @torch.no_grad()
    def sample(
        self,
        theta: Tensor,
        prompts: Sequence[Sequence[int]] | Sequence[Sequence[Sequence[int]]],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        seed: int | Sequence[int] | Sequence[Sequence[int]] = 0,
        stop: Sequence[str] = (),
    ) -> list[list[Sampled]]:
        """Answers of every lane to prompts that they share, or to each lane's own.

        Parameters
        ----------
        theta : [K, P]
        prompts : sequence of token ids, or one such sequence for each lane
        max_new_tokens : int
            Most tokens of an answer; the base's context ends it earlier.
        temperature : float
            0 takes the most likely token.
        seed : int, sequence of int, or sequence of sequence of int
            Of all lanes, or of each: lanes with one seed draw the same numbers. Or of each lane's each prompt: then an
            answer draws the numbers that it would draw alone.
        stop : sequence of str
            Texts that end an answer besides the base's end tokens; they are not part of it.

        Returns
        -------
        list of list of Sampled
            By lane and prompt.
        """
        seeds: list[int | Sequence[int]] = [seed] * len(self) if isinstance(seed, int) else list(seed)
        sampler = Sampler(self.base, self.lower.start, self.layers, self._state(theta), seeds)
        with frozen_products(self.base):
            return sampler.answers(prompts, max_new_tokens, temperature, tuple(stop))

    # -- what lanes are -----------------------------------------------------------------------------------------------

    def precondition(self, gradient: Tensor) -> Tensor:
        """The gradient [K, P] as the kind has it (LoRA-FA: that of B projected)."""
        make = kind_of(self.layers.config).preconditioner
        if make is None:
            return gradient
        if self._conditioned is None:
            self._conditioned = make(self._frozen, self.layers.config)
        return flat_states(dict(self._conditioned(self._split(gradient))), self.layers.trained)

    def theta_of(self, adapters: Sequence[Adapter]) -> Tensor:
        """[K, P] trained weights of adapters of this configuration."""
        return flat_states(stack_states([adapter.state for adapter in adapters]), self.layers.trained).to(
            self.base.device
        )

    def state(self, lane: int, theta: Tensor) -> State:
        """A lane's weights under the keys of PEFT's file format; ``theta`` [P] are those that train."""
        both = self._split(theta[None]) | {key: value[lane : lane + 1] for key, value in self._frozen.items()}
        return {key: both[key][0].detach().clone() for key in self.layers.shapes}

    def adapter(self, lane: int, theta: Tensor) -> Adapter:
        """A lane as an adapter that can be saved and attached."""
        return Adapter(self.layers.config, self.state(lane, theta))

    def _split(self, theta: Tensor) -> State:
        """Trained weights [k, ...] by key, views of [k, P]."""
        shapes = [self.layers.shapes[key] for key in self.layers.trained]
        parts = torch.split(theta, [shape.numel() for shape in shapes], 1)
        return {
            key: part.view(len(theta), *shape)
            for key, part, shape in zip(self.layers.trained, parts, shapes, strict=True)
        }

    def _state(self, theta: Tensor) -> State:
        return self._split(theta) | self._frozen

    # -- one pass -----------------------------------------------------------------------------------------------------

    def _final(self, theta: Tensor, batch: Batch, asked: Asked) -> Tensor:
        """[K, b, a, d] normalised states of the tokens ahead of the learnt ones."""
        return self._pass(self.layers, self._state(theta), batch, asked)

    def _final_of_base(self, batch: Batch, asked: Asked) -> Tensor:
        found = self._pass(self._bare, {}, batch, asked)
        return found if found.ndim == 4 else found[None]

    def _pass(self, layers: AdaptedLayers, states: State, batch: Batch, asked: Asked) -> Tensor:
        tokens = layers.virtual_tokens(states)
        ahead = 0 if tokens is None else tokens.shape[-2]
        self._check_length(batch, ahead)
        hidden, positions = self.lower.hidden(batch.ids, batch.positions, batch.segments), batch.positions + ahead
        before = asked.before
        if tokens is not None and hidden.ndim == 3:
            hidden = hidden.expand(len(tokens), *hidden.shape)
        if tokens is not None and layers.virtual == "embeddings":
            rows = tokens.to(hidden.dtype)[:, None].expand(-1, hidden.shape[-3], -1, -1)
            hidden, before = torch.cat([rows, hidden], 2), before + ahead
            first = torch.arange(ahead, device=positions.device).expand(*positions.shape[:-1], ahead)
            positions = torch.cat([first, positions], -1)
        rotary = self._rotary(hidden, positions)
        attends = self._attends(batch, before, ahead, layers.virtual, tokens, hidden)
        found = layers.run(states, hidden, rotary, attends[0], asked=before, attend_last=attends[1])
        return self._decoder.norm(found)  # type: ignore[no-any-return]

    def _attends(
        self, batch: Batch, before: Tensor, ahead: int, virtual: str, tokens: Tensor | None, hidden: Tensor
    ) -> tuple[Attend, Attend]:
        """Attention of all layers but the last, and of the tokens that ask in the last one."""
        learnt = tokens if virtual == "keys" else None
        allowed = seen(batch.segments, ahead)
        if virtual == "embeddings":
            among = torch.ones(ahead, ahead, dtype=torch.bool, device=allowed.device).tril()
            blind = torch.zeros(ahead, batch.ids.shape[-1], dtype=torch.bool, device=allowed.device)
            first = torch.cat([among, blind], 1).expand(*allowed.shape[:-2], -1, -1)
            allowed = torch.cat([first, allowed], -2)
        index = before[..., None].expand(*before.shape, allowed.shape[-1])
        last = masked(as_blocked(_folded(torch.gather(allowed, -2, index)), hidden.dtype), learnt)
        if not batch.packed and virtual != "keys":
            return causal, last
        return masked(as_blocked(_folded(allowed), hidden.dtype), learnt), last

    def _rotary(self, hidden: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        flat = positions.reshape(-1, positions.shape[-1])
        cos, sin = self._decoder.rotary_emb(hidden, flat)
        return cos.view(*positions.shape, -1), sin.view(*positions.shape, -1)

    def _check_length(self, batch: Batch, ahead: int) -> None:
        longest = int(batch.positions.max()) + 1 + ahead
        if longest > self.base.context:
            raise BaseError(
                f"A text of {longest} tokens ({ahead} virtual ones included) does not fit: {self.base.id} reads "
                f"{self.base.context} at most. Lower max_length, or take fewer virtual tokens."
            )
        self.lower.check(longest)

    def _logits_of(self, final: Tensor) -> Tensor:
        return linear(final.float(), self.head.float())

    @property
    def head(self) -> Tensor:
        """[V, d] rows of the language-model head, frozen."""
        words: Any = self.base.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        return words.weight.detach()  # type: ignore[no-any-return]

    def _scattered(self, final: Tensor, batch: Batch, asked: Asked, lanes: int) -> Tensor:
        """[lanes, b, t] log-probabilities of the learnt tokens from the states ahead of them."""
        every = len(final) if not batch.shared else lanes
        counts = asked.counts.expand(every, *asked.counts.shape[-2:])
        places = asked.places.expand(every, *asked.places.shape[-2:])
        ids = batch.ids.expand(every, *batch.ids.shape[-2:])
        found = word_logprobs(final[counts], self.head, ids.gather(-1, places)[counts])
        where = torch.nonzero(counts)
        out = found.new_zeros(ids.shape)
        return out.index_put((where[:, 0], where[:, 1], places[counts]), found)


def _folded(mask: Tensor) -> Tensor:
    """[K·n, 1, ...] or [n, 1, ...] of a mask [(K,) n, q, k]."""
    return mask.reshape(-1, 1, *mask.shape[-2:])


def _rows(found: Tensor, counts: Tensor) -> Tensor:
    """[K, m, V] of padded [K, b, a, V], those that count."""
    counts = counts.expand(found.shape[:3])
    lanes = [one[own] for one, own in zip(found, counts, strict=True)]
    return torch.nn.utils.rnn.pad_sequence(lanes, batch_first=True)


__all__ = ["Asked", "Sampled", "SequenceLanes"]
