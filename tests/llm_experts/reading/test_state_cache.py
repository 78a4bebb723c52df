"""Kept hidden states: a text counts once, and the limit is what it says."""

from __future__ import annotations

import torch
from torch import Tensor

from llm_experts.prompts.prompts import pad
from llm_experts.reading.reader import Reader
from llm_experts.reading.state_cache import StateCache
from tests.llm_experts.expert_fixtures import BASE, ROWS, SCM


def test_a_text_that_is_there_twice_is_kept_once() -> None:
    reader = Reader(BASE)
    once = reader.pack(SCM, ROWS)
    twice = pad([once, once])
    calls: list[int] = []

    def compute(places: Tensor) -> Tensor:
        calls.append(len(places))
        return torch.ones(len(places), twice.ids.shape[1], 5)

    single, double = StateCache(1 << 20), StateCache(1 << 20)
    single.states(once, compute)
    double.states(twice, compute)
    assert double.size == single.size == int(once.lengths.sum()) * 5 * 4
    fits = StateCache(single.size)
    fits.states(twice, compute)
    calls.clear()
    assert torch.equal(fits.states(once, compute), single.states(once, compute))
    assert calls == [], "nothing was dropped to make room for what was there"
