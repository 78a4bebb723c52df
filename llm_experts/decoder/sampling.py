"""Answers of lanes: one pass over the prompts, then token by token with kept keys and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from foundation.seeding import torch_generator
from llm_experts.bases.base import Base
from llm_experts.decoder.adapted_layers import AdaptedLayers, Attend, masked
from llm_experts.decoder.cut import decoder_of
from llm_experts.decoder.walk import as_blocked
from llm_experts.prompts.batches import length_batches

LOOK_BACK = 16
"""Tokens whose text is searched for a stop: a stop string of more is found a few tokens late, and cut all the same."""
TOKENS = {"cpu": 1 << 13, "cuda": 1 << 18}
"""Prompt and answer tokens of all rows that are generated at once."""


@dataclass(frozen=True)
class Sampled:
    """One answer.

    Attributes
    ----------
    ids : tuple of int
        Its tokens, the one that ended it included.
    text : str
        Without special tokens and without the stop text.
    ended : bool
        Whether it ended by itself, and not for want of room.
    """

    ids: tuple[int, ...]
    text: str
    ended: bool = True


class Sampler:
    """Answers of K lanes.

    Parameters
    ----------
    base : Base
    start : int
        First layer of ``layers``.
    layers : AdaptedLayers
    states : mapping
        Weights [K, ...] of the lanes.
    seeds : sequence of int or of sequence of int
        One per lane, or one per prompt of each lane.
    """

    def __init__(
        self,
        base: Base,
        start: int,
        layers: AdaptedLayers,
        states: Mapping[str, Tensor],
        seeds: Sequence[int | Sequence[int]],
    ) -> None:
        self._base, self._layers, self._states, self._seeds = base, layers, states, seeds
        self._below = AdaptedLayers(base, 0, None, stop=start)
        self._decoder = decoder_of(base)
        self._lanes = len(seeds)
        self._ends = base.end_tokens
        words: Any = base.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        self._head = words.weight

    def answers(
        self, prompts: Sequence[Any], most: int, temperature: float, stop: tuple[str, ...]
    ) -> list[list[Sampled]]:
        """By lane and prompt; prompts are shared, or one sequence of them per lane."""
        own = bool(prompts) and bool(prompts[0]) and not isinstance(prompts[0][0], int)
        by_lane = [list(lane) for lane in prompts] if own else [list(prompts)] * self._lanes
        found: list[list[Sampled | None]] = [[None] * len(lane) for lane in by_lane]
        numbers = [_numbers(seed, len(lane), most) for lane, seed in zip(by_lane, self._seeds, strict=True)]
        width = max((len(lane) for lane in by_lane), default=0)
        lengths = [max(len(lane[at]) for lane in by_lane if at < len(lane)) + most for at in range(width)]
        for some in self._runs(lengths):
            rows = [[lane[at] if at < len(lane) else [0] for at in some] for lane in by_lane]
            drawn = torch.stack([_taken(own, some) for own in numbers])
            for lane, answers in enumerate(self._generate(rows, most, temperature, stop, drawn)):
                for at, answer in zip(some, answers, strict=True):
                    if at < len(found[lane]):
                        found[lane][at] = answer
        return [[answer for answer in lane if answer is not None] for lane in found]

    def _runs(self, lengths: Sequence[int]) -> list[list[int]]:
        """Prompts that are answered together, longest first, in runs of at most so many tokens of all lanes."""
        limit = TOKENS.get(self._base.device.type, TOKENS["cpu"]) // self._lanes
        order = sorted(range(len(lengths)), key=lambda at: -lengths[at])
        return [order[run] for run in length_batches([lengths[at] for at in order], limit)]

    def _generate(
        self, rows: list[list[Sequence[int]]], most: int, temperature: float, stop: tuple[str, ...], drawn: Tensor
    ) -> list[list[Sampled]]:
        device = self._base.device
        lengths = torch.tensor([[len(ids) for ids in lane] for lane in rows], device=device)
        longest = int(lengths.max())
        ids = torch.zeros(len(rows), len(rows[0]), longest, dtype=torch.int64)
        for lane, texts in enumerate(rows):
            for place, text in enumerate(texts):
                ids[lane, place, : len(text)] = torch.tensor(text)
        tokens = self._layers.virtual_tokens(self._states)
        ahead = 0 if tokens is None else tokens.shape[-2]
        room = self._base.context - ahead - lengths
        state = _Kept(longest + most + ahead)
        hidden = self._read(ids.to(device), lengths, tokens, ahead, state)
        said: list[list[list[int]]] = [[[] for _ in lane] for lane in rows]
        open_ = torch.ones(lengths.shape, dtype=torch.bool)
        ended = torch.zeros(lengths.shape, dtype=torch.bool)
        for step in range(most):
            open_ &= (room > step).cpu()
            if not bool(open_.any()):
                break
            chosen = self._choose(hidden, temperature, drawn[..., step].to(device))
            for lane, place in torch.nonzero(open_).tolist():
                token = int(chosen[lane, place])
                mine = said[lane][place]
                mine.append(token)
                if token in self._ends or (stop and _stops(self._text(mine[-LOOK_BACK:]), stop)):
                    open_[lane, place], ended[lane, place] = False, True
            if step + 1 < most and bool(open_.any()):
                hidden = self._go_on(chosen, lengths + ahead + step, state)
        return [
            [Sampled(tuple(t), _cut(self._text(t), stop), bool(e)) for t, e in zip(lane, marks, strict=True)]
            for lane, marks in zip(said, ended, strict=True)
        ]

    def _read(self, ids: Tensor, lengths: Tensor, tokens: Tensor | None, ahead: int, state: _Kept) -> Tensor:
        """[K, n, d] states behind the prompts; fills the kept keys and values."""
        hidden = self._decoder.embed_tokens(ids)
        positions = torch.arange(ids.shape[-1], device=ids.device).expand(ids.shape) + ahead
        real = torch.arange(ids.shape[-1], device=ids.device) < lengths[..., None]
        virtual = self._layers.virtual
        if tokens is not None and virtual == "keys":
            state.learnt = tokens
        if tokens is not None and virtual == "embeddings":
            rows = tokens.to(hidden.dtype)[:, None].expand(-1, hidden.shape[1], -1, -1)
            hidden = torch.cat([rows, hidden], 2)
            first = torch.arange(ahead, device=ids.device).expand(*ids.shape[:2], ahead)
            positions = torch.cat([first, positions], -1)
            real = torch.cat([real.new_ones(*ids.shape[:2], ahead), real], -1)
        width = hidden.shape[2]
        order = torch.ones(width, width, dtype=torch.bool, device=ids.device).tril()
        allowed = order & (real[..., None, :] | torch.eye(width, dtype=torch.bool, device=ids.device))
        if virtual == "keys":
            allowed = torch.cat([allowed.new_ones((*allowed.shape[:-1], ahead)), allowed], -1)
        state.fill = ahead if virtual == "keys" else 0
        last = lengths - 1 + (ahead if virtual == "embeddings" else 0)
        found = self._walk(hidden, positions, allowed, state, torch.arange(width, device=ids.device))
        state.seen = torch.cat([real.new_ones((*real.shape[:2], state.fill)), real], -1)
        index = last[..., None, None].expand(*last.shape, 1, found.shape[-1])
        return self._decoder.norm(found.gather(2, index)[:, :, 0])  # type: ignore[no-any-return]

    def _go_on(self, chosen: Tensor, at: Tensor, state: _Kept) -> Tensor:
        """[K, n, d] states behind one more token [K, n] at positions [K, n]."""
        hidden = self._decoder.embed_tokens(chosen)[:, :, None]
        assert state.seen is not None  # the prompts were read
        state.seen = torch.cat([state.seen, state.seen.new_ones((*chosen.shape, 1))], -1)
        place = torch.tensor([state.seen.shape[-1] - 1 - state.fill], device=chosen.device)
        found = self._walk(hidden, at[..., None], state.seen[..., None, :], state, place)
        return self._decoder.norm(found[:, :, 0])  # type: ignore[no-any-return]

    def _walk(self, hidden: Tensor, positions: Tensor, allowed: Tensor, state: _Kept, places: Tensor) -> Tensor:
        """States [K, n, w, d] of tokens that go to ``places`` of the kept keys and values."""
        cos, sin = self._decoder.rotary_emb(hidden, positions.reshape(-1, positions.shape[-1]))
        rotary = cos.view(*positions.shape, -1), sin.view(*positions.shape, -1)
        blocked = as_blocked(allowed.reshape(-1, 1, *allowed.shape[-2:]), hidden.dtype)
        below = blocked[..., state.fill :]  # learnt keys are those of the layers above
        if len(self._below):
            hidden = self._below.run({}, hidden, rotary, state.attend(below, places, lower=True))
        return self._layers.run(self._states, hidden, rotary, state.attend(blocked, places, lower=False))

    def _choose(self, hidden: Tensor, temperature: float, drawn: Tensor) -> Tensor:
        """[K, n] tokens behind states [K, n, d]; numbers in [0, 1) decide where a token is drawn."""
        logits = linear(hidden.float(), self._head.float())
        if temperature == 0:
            best: Tensor = logits.argmax(-1)
            return best
        summed = (logits / temperature).softmax(-1).double().cumsum(-1)
        places: Tensor = torch.searchsorted(summed, (drawn * summed[..., -1])[..., None], right=True)[..., 0]
        return places.clamp_max(logits.shape[-1] - 1)

    def _text(self, ids: Sequence[int]) -> str:
        tokenizer: Any = self._base.tokenizer
        return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


class _Kept:
    """Keys and values of all layers for rows that are generated together; learnt ones stand ahead of them."""

    def __init__(self, room: int) -> None:
        self._arrays: dict[tuple[bool, int], tuple[Tensor, Tensor]] = {}
        self._room, self.fill = room, 0
        self.learnt: Tensor | None = None
        self.seen: Tensor | None = None

    def attend(self, blocked: Tensor, places: Tensor, *, lower: bool) -> Attend:
        """Attention that writes new keys and values to ``places`` and lets tokens see all up to the last of them."""
        end = int(places[-1]) + 1
        inner = masked(blocked, None if lower else self.learnt)

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
            key = (lower, layer)
            if key not in self._arrays:
                shape = (len(k), k.shape[1], self._room, k.shape[-1])
                self._arrays[key] = (k.new_zeros(shape), v.new_zeros(shape))
            for array, new in zip(self._arrays[key], (k, v), strict=True):
                array.index_copy_(2, places, new)
            keys, values = (array[:, :, :end] for array in self._arrays[key])
            return inner(layer, q, keys, values, scale)

        return attend


def _numbers(seed: int | Sequence[int], prompts: int, most: int) -> Tensor:
    """[prompts, most] numbers in [0, 1) of a lane's seed, or of a seed for each of its prompts."""
    if isinstance(seed, int):
        return torch.rand((prompts, most), generator=torch_generator(seed, "answers"), dtype=torch.float64)
    return torch.cat([_numbers(own, 1, most) for own in seed]) if seed else torch.zeros(0, most, dtype=torch.float64)


def _taken(numbers: Tensor, places: Sequence[int]) -> Tensor:
    """[n, most] rows at some places, zeros for those that are not there."""
    found = numbers.new_zeros(len(places), numbers.shape[1])
    for row, at in enumerate(places):
        if at < len(numbers):
            found[row] = numbers[at]
    return found


def _stops(text: str, stop: tuple[str, ...]) -> bool:
    return any(mark in text for mark in stop)


def _cut(text: str, stop: tuple[str, ...]) -> str:
    places = [at for at in (text.find(mark) for mark in stop) if at >= 0]
    return text[: min(places)] if places else text
