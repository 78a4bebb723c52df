"""What lies below the adapters, computed once per text and kept for all lanes and epochs."""

from __future__ import annotations

import torch
from torch import Tensor

from llm_experts.bases.base import Base
from llm_experts.decoder.adapted_layers import AdaptedLayers, Attend, causal, masked
from llm_experts.decoder.cut import CutBase, decoder_of
from llm_experts.decoder.walk import as_blocked
from llm_experts.prompts.batches import length_batches
from llm_experts.training.sequences.batch import PADDING, SHARED

CACHE_BYTES = {"cpu": 1 << 30, "cuda": 8 << 30}
"""Hidden states that are kept; texts beyond it are computed anew each time."""
ROW_TOKENS = {"cpu": 1 << 11, "cuda": 1 << 16}
"""Padded tokens of a pass: larger ones are no faster on a CPU, whose allocator gives large tensors back each time."""


class LowerLayers:
    """Embeddings and the frozen layers below ``start``.

    Texts that are seen first are kept, as many as fit: epochs go through all texts in turn, so that forgetting the
    oldest would forget each one just before it is needed.

    Parameters
    ----------
    base : Base
    start : int
        At least 0.
    most_bytes : int, optional
        Bound of the cache; default :data:`CACHE_BYTES`.
    """

    def __init__(self, base: Base, start: int, most_bytes: int | None = None) -> None:
        self._cut = CutBase(base, start)
        self.start = self._cut.start
        device = base.device.type
        self._decoder = decoder_of(base)
        self._layers = AdaptedLayers(base, 0, None, stop=self.start)
        self._room = CACHE_BYTES.get(device, CACHE_BYTES["cpu"]) if most_bytes is None else most_bytes
        self._tokens = ROW_TOKENS.get(device, ROW_TOKENS["cpu"])
        self._kept: dict[tuple[bytes, bytes], Tensor] = {}
        self.computed = 0

    def check(self, tokens: int) -> None:
        """Raise :class:`BaseError` where the base computes something else on texts of this length."""
        self._cut.compare(tokens)

    @torch.no_grad()
    def hidden(self, ids: Tensor, positions: Tensor, segments: Tensor) -> Tensor:
        """[..., b, t, d] states that enter the layers above; all arguments [..., b, t].

        With ``start`` 0 the embeddings. Rows of the same tokens are computed once.
        """
        if not self.start:
            found: Tensor = self._decoder.embed_tokens(ids)
            return found
        flat = [x.reshape(-1, ids.shape[-1]) for x in (ids, positions, segments)]
        lengths = (flat[2] != PADDING).sum(-1).tolist()
        keys = [_key(row[:end], seg[:end]) for row, seg, end in zip(flat[0].cpu(), flat[2].cpu(), lengths, strict=True)]
        fresh = {key: at for at, key in enumerate(keys) if key not in self._kept and lengths[at]}
        new = dict(zip(fresh, self._compute(flat[0], flat[1], flat[2], list(fresh.values()), lengths), strict=True))
        width = self._decoder.embed_tokens.weight.shape[1]
        out = torch.zeros(*flat[0].shape, width, dtype=self._decoder.embed_tokens.weight.dtype, device=ids.device)
        for at, (key, end) in enumerate(zip(keys, lengths, strict=True)):
            if end:
                out[at, :end] = new[key] if key in new else self._kept[key]
        for key, states in new.items():
            self._keep(key, states)
        return out.view(*ids.shape, width)

    def _compute(
        self, ids: Tensor, positions: Tensor, segments: Tensor, rows: list[int], lengths: list[int]
    ) -> list[Tensor]:
        """States [length, d] of some rows, in passes of rows of like length."""
        self.computed += len(rows)
        found: dict[int, Tensor] = {}
        order = sorted(rows, key=lambda at: -lengths[at])
        for run in length_batches([lengths[at] for at in order], self._tokens):
            some = order[run]
            width, at = lengths[some[0]], torch.tensor(some, device=ids.device)
            states = self._walk(ids[at, :width], positions[at, :width], segments[at, :width])
            found |= {row: states[place, : lengths[row]].clone() for place, row in enumerate(some)}
        return [found[row] for row in rows]

    def _walk(self, ids: Tensor, positions: Tensor, segments: Tensor) -> Tensor:
        hidden = self._decoder.embed_tokens(ids)
        rotary = self._decoder.rotary_emb(hidden, positions)
        attend: Attend = causal
        if bool((segments > 0).any()):
            attend = masked(as_blocked(seen(segments)[:, None], hidden.dtype))
        return self._layers.run({}, hidden, rotary, attend)

    def _keep(self, key: tuple[bytes, bytes], states: Tensor) -> None:
        size = states.numel() * states.element_size()
        if size <= self._room:
            self._room -= size
            self._kept[key] = states


def seen(segments: Tensor, ahead: int = 0) -> Tensor:
    """[..., t, ahead + t] bool: which token sees which.

    Its own text up to itself, the beginning that texts of its row share, and ``ahead`` virtual tokens.
    """
    length = segments.shape[-1]
    order = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    same = segments[..., :, None] == segments[..., None, :]
    own = order & (same | (segments == SHARED)[..., None, :])
    return torch.cat([own.new_ones((*own.shape[:-1], ahead)), own], -1)


def _key(ids: Tensor, segments: Tensor) -> tuple[bytes, bytes]:
    several = bool(len(segments)) and int(segments[-1]) > 0
    return ids.numpy().tobytes(), segments.numpy().tobytes() if several else b""
