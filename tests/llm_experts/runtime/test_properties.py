"""Any composition in any batch equals dense weights, on two architectures; slots under any sequence of events."""

from __future__ import annotations

import copy
import random
import threading
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from torch import Tensor, nn
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from llm_experts.adapters.svf import spectra_in
from llm_experts.bases.base import Base
from llm_experts.mixtures.bank import all_places
from llm_experts.runtime.composition import Composition
from llm_experts.runtime.prefix import Prefix
from llm_experts.runtime.resident import ResidentBase, SlotsFullError
from llm_experts.runtime.slots import SlotTable
from tests.llm_experts.conftest import tiny_tokenizer
from tests.llm_experts.runtime.resident_fixtures import BASE, IDS, MATRICES, peft_adapter, saved

KINDS = (*MATRICES, "soft_prompt", "prefix")
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def no_svd_cache() -> Iterator[None]:
    with spectra_in(None):
        yield


def tiny_llama() -> Base:
    """Llama has another attention than Qwen 3 (no norms of queries and keys), and here biases."""
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        attention_bias=True,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for _, weight in sorted(model.named_parameters()):
        weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2 + (weight.ndim == 1 and 1))
    return Base("llama", model, tokenizer, "1" * 64)


BASES = {"qwen": BASE, "llama": tiny_llama()}


@cache
def adapters(architecture: str) -> dict[str, Any]:
    """A PEFT model of every kind."""
    base = BASES[architecture]
    return {kind: peft_adapter(kind, seed, base=base, size=0.05) for seed, kind in enumerate(KINDS)}


@cache
def resident(architecture: str, slots: int = 8) -> ResidentBase:
    on = ResidentBase(BASES[architecture], slots=slots)
    with spectra_in(None):
        for kind, model in adapters(architecture).items():
            on.load(kind, saved(model, BASES[architecture]))
    return on


@cache
def dense(architecture: str, kind: str) -> dict[Any, tuple[Tensor, Tensor]]:
    """What an adapter adds to each matrix [in, out] and bias, read off PEFT's own layers at unit inputs."""
    base, model = BASES[architecture], adapters(architecture)[kind]
    found = {}
    for place in all_places(base):
        plain = base.model.get_decoder().layers[place.layer].get_submodule(place.name)
        other = model.get_base_model().get_decoder().layers[place.layer].get_submodule(place.name)
        zero, unit = torch.zeros(1, plain.in_features), torch.eye(plain.in_features)
        bias = other(zero)[0] - plain(zero)[0]
        found[place] = ((other(unit) - plain(unit)) - bias, bias)
    return found


@torch.no_grad()
def dense_model(architecture: str, composition: Composition) -> nn.Module:
    """A model whose weights are W + Σ w ΔW."""
    model = copy.deepcopy(BASES[architecture].model)
    for kind, weight in composition.parts:
        if kind in MATRICES:
            for place, (matrix, bias) in dense(architecture, kind).items():
                module: Any = model.get_decoder().layers[place.layer].get_submodule(place.name)
                module.weight.add_(weight * matrix.T)
                if module.bias is not None:
                    module.bias.add_(weight * bias)
    return model


@torch.no_grad()
def after(model: Any, ahead: Prefix, ids: Tensor) -> Tensor:
    """[rows, tokens, vocabulary] logits of a text behind virtual tokens."""
    rows, past = len(ids), DynamicCache()
    if ahead.keys_and_values is not None:
        for layer, (keys, values) in enumerate(ahead.keys_and_values):
            past.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
    embeddings = torch.cat([ahead.embeddings.expand(rows, -1, -1), model.get_input_embeddings()(ids)], 1)
    found: Tensor = model(inputs_embeds=embeddings, past_key_values=past, use_cache=True).logits
    return found[:, -ids.shape[1] :]


WEIGHTS = st.floats(-1.5, 1.5).map(lambda weight: round(weight, 3))
MIXED = st.dictionaries(st.sampled_from(MATRICES), WEIGHTS, max_size=6)
AHEAD = st.sets(st.sampled_from(("soft_prompt", "prefix")))


@pytest.mark.parametrize("architecture", BASES)
@QUICK
@given(mixed=MIXED, ahead=AHEAD)
def test_a_composition_equals_dense_weights(architecture: str, mixed: dict[str, float], ahead: set[str]) -> None:
    on = resident(architecture)
    composition = Composition.of(mixed | dict.fromkeys(ahead, 1.0))
    with on.lease([composition]), on.run([composition] * len(IDS)):
        found = after(on.base.model, on.prefix(composition), IDS)
    expected = after(dense_model(architecture, composition), on.prefix(composition), IDS)
    torch.testing.assert_close(found, expected, atol=3e-4, rtol=1e-3)


@pytest.mark.parametrize("architecture", BASES)
@QUICK
@given(rows=st.lists(MIXED, min_size=2, max_size=4), order=st.randoms())
def test_rows_of_a_mixed_batch_equal_dense_weights_one_by_one(
    architecture: str, rows: list[dict[str, float]], order: random.Random
) -> None:
    on = resident(architecture)
    compositions = [Composition.of(row) for row in rows]
    with on.lease(compositions), on.run(compositions):
        found = after(on.base.model, Prefix(torch.zeros(0, 32)), IDS[: len(rows)])
    for index, row in enumerate(rows):
        shuffled = list(row.items())
        order.shuffle(shuffled)
        model = dense_model(architecture, Composition(tuple(shuffled)))
        one = IDS[index : index + 1]
        expected = after(model, Prefix(torch.zeros(0, 32)), one)
        torch.testing.assert_close(found[index], expected[0], atol=3e-4, rtol=1e-3)
        if not any(row.values()):
            same = after(BASES[architecture].model, Prefix(torch.zeros(0, 32)), IDS[: len(rows)])
            assert torch.equal(found[index], same[index])


def test_threads_that_load_evict_and_compute_disturb_nobody() -> None:
    on = ResidentBase(BASE, slots=3)
    for kind in MATRICES:
        on.known(kind, saved(adapters("qwen")[kind]))
    pairs = [Composition.of({one: 1.0, other: 0.5}) for one, other in pairwise(MATRICES)]
    expected = {}
    for pair in pairs:
        with on.lease([pair]), on.run([pair] * 2):
            expected[pair] = after(on.base.model, Prefix(torch.zeros(0, 32)), IDS[:2])
    wrong, waited, done = list[str](), list[int](), list[int]()

    def work(seed: int) -> None:
        draw = random.Random(seed)
        try:
            with spectra_in(None):
                for _ in range(25):
                    pair = draw.choice(pairs)
                    while True:
                        try:
                            with on.lease([pair]), on.run([pair] * 2):
                                found = after(on.base.model, Prefix(torch.zeros(0, 32)), IDS[:2])
                            break
                        except SlotsFullError as full:
                            assert not full.permanent
                            waited.append(seed)
                    if not torch.allclose(found, expected[pair], atol=1e-5, rtol=1e-4):
                        wrong.append(f"{pair.key} {float((found - expected[pair]).abs().max())}")
                    done.append(seed)
        except Exception as error:  # noqa: BLE001
            wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == [] and len(done) == 100
    assert on.stats.evictions > 10 and len(on.loaded) <= 3


class Events(RuleBasedStateMachine):
    """Slots under any sequence of leases, ends, pins and removals."""

    NAMES = tuple("abcdefg")

    @initialize(count=st.integers(1, 4))
    def begin(self, count: int) -> None:
        self.table, self.held, self.pins = SlotTable(count), list[tuple[str, ...]](), set[str]()

    @rule(names=st.sets(st.sampled_from(NAMES), min_size=1, max_size=5))
    def lease(self, names: set[str]) -> None:
        before, keep = dict(self.table._slots), {name for held in self.held for name in held} | self.pins
        chosen = tuple(sorted(names))
        room = self.table.count - len((keep & before.keys()) - names)
        try:
            self.table.place(chosen)
        except SlotsFullError as full:
            assert len(names) > room and dict(self.table._slots) == before
            assert full.permanent == (len(names) > self.table.count - len((self.pins & before.keys()) - names))
            return
        assert len(names) <= room
        assert all(self.table.slot(name) == before[name] for name in (keep | names) & before.keys())
        self.table.use(chosen)
        self.held.append(chosen)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self.table.leave(self.held.pop(data.draw(st.integers(0, len(self.held) - 1))))

    @rule(name=st.sampled_from(NAMES))
    def pin(self, name: str) -> None:
        self.table.pin(name)
        self.pins.add(name)

    @rule(name=st.sampled_from(NAMES))
    def unpin(self, name: str) -> None:
        self.table.unpin(name)
        self.pins.discard(name)

    @invariant()
    def slots_are_distinct_and_whoever_is_held_has_one(self) -> None:
        slots = list(self.table._slots.values())
        assert len(slots) == len(set(slots)) and set(slots) <= set(range(self.table.count))
        for held in self.held:
            assert all(self.table.slot(name) is not None and self.table.uses(name) > 0 for name in held)


Events.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestEvents = Events.TestCase
