"""Answers of a generator, and what to compare them with: the library on dense weights, or token by token."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from llm_experts.adapters.deltas import adapter_deltas
from llm_experts.adapters.store import SavedAdapter
from llm_experts.bases.base import Base
from llm_experts.runtime.generation import Generation, Piece
from llm_experts.runtime.generator import Generator

CLEAR = 1e-3
"""Least distance of the best two logits wherever tokens are compared: far beyond what rounding changes."""


def finished(generator: Generator, generations: Sequence[Generation]) -> dict[str, list[Piece]]:
    """All pieces by request; some requests are added while others run."""
    found: dict[str, list[Piece]] = defaultdict(list)
    waiting = list(generations)
    while waiting or not generator.idle:
        for generation in waiting[:2]:
            generator.add(generation)
        del waiting[:2]
        for piece in generator.step():
            found[piece.id].append(piece)
    return found


def tokens_of(pieces: Mapping[str, Sequence[Piece]]) -> dict[str, tuple[int, ...]]:
    """Tokens of every answer."""
    return {id: tuple(token for piece in some for token in piece.tokens) for id, some in pieces.items()}


def by_library(model: Any, prompt: Sequence[int], count: int) -> tuple[int, ...]:
    """Greedy continuation by ``generate``; every choice is clear."""
    ids = torch.tensor([list(prompt)])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=count,
        output_logits=True,
        return_dict_in_generate=True,
        eos_token_id=None,
        pad_token_id=0,
    )
    _check_clear(torch.stack(out.logits)[:, 0])
    return tuple(out.sequences[0, len(prompt) :].tolist())


@torch.no_grad()
def token_by_token(model: Any, prompt: Sequence[int], count: int) -> tuple[int, ...]:
    """Greedy continuation, the whole text computed anew for each token; every choice is clear."""
    said: list[int] = []
    for _ in range(count):
        ids = torch.tensor([[*prompt, *said]])
        last = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, -1]
        _check_clear(last)
        said.append(int(last.argmax()))
    return tuple(said)


@torch.no_grad()
def dense(base: Base, parts: Sequence[tuple[SavedAdapter, float]]) -> Any:
    """A copy of the base's model in whose weights the weighted sum of what adapters add is written."""
    model: Any = copy.deepcopy(base.model)
    layers = model.get_decoder().layers
    plain = {name: weight.clone() for name, weight in layers.state_dict().items()}
    for saved, weight in parts:
        for place, delta in adapter_deltas(saved.config, saved.state, base.model.get_decoder().layers).items():  # type: ignore[operator]
            w, added = plain[f"{place.layer}.{place.name}.weight"], torch.zeros(())
            if delta.a is not None and delta.b is not None:
                added = added + delta.scaling * delta.b @ delta.a
            if delta.gain is not None:
                added = added + delta.gain[:, None] * w
            if delta.input_gain is not None:
                added = added + w * delta.input_gain
            if delta.multiplier is not None and delta.spectrum is not None:
                k = len(delta.multiplier)
                u, s, v = delta.spectrum.u[:, :k], delta.spectrum.s[:k], delta.spectrum.v[:, :k]
                added = added + (u * (s * delta.multiplier)) @ v.T
            layers[place.layer].get_submodule(place.name).weight += weight * added
    return model


def _check_clear(logits: torch.Tensor) -> None:
    top = logits.topk(2).values
    assert float((top[:, 0] - top[:, 1]).min()) > CLEAR
