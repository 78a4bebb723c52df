"""Answers of compositions: those of dense weights, in any company, from any beginning that is known already."""

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import torch

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.svf import spectra_in
from llm_experts.runtime.batch.forward import NotFiniteError
from llm_experts.runtime.composition import Composition
from llm_experts.runtime.generation import Generation, TooLongError
from llm_experts.runtime.generator import Generator
from llm_experts.runtime.resident import ResidentBase
from llm_experts.runtime.sampling import Sampling
from tests.llm_experts.runtime.generation_fixtures import by_library, dense, finished, token_by_token, tokens_of
from tests.llm_experts.runtime.resident_fixtures import BASE, peft_adapter, saved

KINDS = ("lora", "dora", "ia3", "svf", "rslora", "soft_prompt", "prefix")
PROMPT = (5, 9, 31, 7, 80, 11, 42)
LONG = tuple(3 + (index * index) % 300 for index in range(60))
COMPOSITIONS = (
    {},
    {"lora": 1},
    {"lora": 0.5, "dora": 0.8, "ia3": 1, "svf": 1, "rslora": -0.5},
    {"svf": 1.5, "ia3": -0.4},
)


@pytest.fixture(autouse=True)
def no_svd_cache() -> Iterator[None]:
    with spectra_in(None):
        yield


def resident(slots: int = 8, kinds: tuple[str, ...] = KINDS) -> ResidentBase:
    found = ResidentBase(BASE, slots=slots)
    for seed, kind in enumerate(kinds):
        found.known(kind, saved(peft_adapter(kind, seed)))
    return found


def request(id: str, experts: dict[str, float], prompt: tuple[int, ...] = PROMPT, count: int = 12) -> Generation:
    return Generation(id, prompt, Composition.of(experts), Sampling(max_new_tokens=count, ignore_eos=True))


def test_a_batch_of_compositions_says_what_dense_weights_say() -> None:
    adapters = {kind: saved(peft_adapter(kind, seed)) for seed, kind in enumerate(KINDS)}
    expected = {
        str(place): by_library(dense(BASE, [(adapters[name], weight) for name, weight in parts.items()]), PROMPT, 12)
        for place, parts in enumerate(COMPOSITIONS)
    }
    assert len(set(expected.values())) == len(COMPOSITIONS)
    requests = [request(str(place), parts) for place, parts in enumerate(COMPOSITIONS)]
    assert tokens_of(finished(Generator(resident(), chunk=8), requests)) == expected
    alone = Generator(resident(), max_rows=1, prefix_cache_mb=0)
    assert tokens_of(finished(alone, requests)) == expected


@pytest.mark.parametrize("kind", ["soft_prompt", "prefix"])
def test_virtual_tokens_stand_ahead_of_the_prompt(kind: str) -> None:
    model = peft_adapter(kind, KINDS.index(kind))
    expected = token_by_token(model, PROMPT, 8)
    generator = Generator(resident(), chunk=6)
    requests = [request("virtual", {kind: 1}, count=8), request("plain", {}, count=8)]
    found = tokens_of(finished(generator, requests))
    assert found == {"virtual": expected, "plain": token_by_token(BASE.model, PROMPT, 8)}
    assert found["virtual"] != found["plain"]


def test_known_beginnings_are_not_read_again_and_change_nothing() -> None:
    experts: list[dict[str, float]] = [{}, {"lora": 1}, {"soft_prompt": 1, "svf": 1}, {"prefix": 1}]
    plain = Generator(resident(), prefix_cache_mb=0)
    requests = [request(str(place), parts, LONG + PROMPT) for place, parts in enumerate(experts)]
    expected = tokens_of(finished(plain, requests))
    assert plain.stats.prefix_bytes == 0
    generator = Generator(resident(), chunk=20)
    assert tokens_of(finished(generator, requests)) == expected
    assert generator.stats.prefix_hits == 0
    assert tokens_of(finished(generator, requests)) == expected
    assert (generator.stats.prefix_hits, generator.stats.prefix_tokens) == (4, 4 * 64)
    longer = [request("longer", {"lora": 1}, LONG + PROMPT + expected["1"], 5)]
    finished(generator, longer)
    assert generator.stats.prefix_tokens == 4 * 64 + 64  # whole blocks of the prompt and of the answer before
    finished(generator, [request("other", {"lora": 0.5}, LONG + PROMPT)])
    assert generator.stats.prefix_hits == 5


def test_a_replaced_adapter_has_no_known_beginnings() -> None:
    on = resident(kinds=("lora",))
    generator = Generator(on)
    finished(generator, [request("a", {"lora": 1}, LONG)])
    on.known("lora", saved(peft_adapter("lora", 17)))
    found = tokens_of(finished(generator, [request("a", {"lora": 1}, LONG)]))
    assert generator.stats.prefix_hits == 0
    assert found["a"] == by_library(dense(BASE, [(saved(peft_adapter("lora", 17)), 1.0)]), LONG, 12)


def test_what_is_kept_is_bounded() -> None:
    generator = Generator(resident(), prefix_cache_mb=1)
    per_token = 2 * 2 * 2 * 8 * 4  # layers, keys and values, heads, width, bytes
    many = 1 + 2**20 // (per_token * 48)
    for start in range(0, many, 16):
        prompts = [tuple(3 + (n * n + 7 * i) % 300 for n in range(49)) for i in range(start, start + 16)]
        finished(generator, [request(str(i), {}, prompt, 1) for i, prompt in enumerate(prompts)])
    assert 2**20 - 16 * per_token < generator.stats.prefix_bytes <= 2**20
    generator.forget()
    assert generator.stats.prefix_bytes == 0


def test_one_request_that_fails_ends_no_other() -> None:
    on = resident()
    generations = [
        request("good", {"lora": 0.5}),
        request("unknown", {"nobody": 1}),
        request("undefined", {"soft_prompt": 0.5}),
        request("too long", {"soft_prompt": 1}, (7,) * 1022),
        request("too large", {"huge": 100}),
        request("fine", {"svf": 1}),
    ]
    on.known("huge", saved(peft_adapter("lora", 3, size=1e30)))
    expected = tokens_of(finished(Generator(resident(), max_rows=1), [generations[0], generations[-1]]))
    found = finished(Generator(on), generations)
    assert {id: tokens for id, tokens in tokens_of(found).items() if tokens} == expected
    ends = {id: some[-1] for id, some in found.items()}
    assert {id for id, piece in ends.items() if piece.finish == "error"} == {
        "unknown",
        "undefined",
        "too long",
        "too large",
    }
    assert isinstance(ends["unknown"].error, AdapterError)
    assert "made of virtual tokens" in str(ends["undefined"].error)
    assert isinstance(ends["too long"].error, TooLongError)
    assert isinstance(ends["too large"].error, NotFiniteError)
    assert "huge=100" in str(ends["too large"].error)
    assert on.stats.taken >= 2
    on.unload("lora")
    assert "lora" not in on.loaded  # nobody holds it any more


def test_a_row_on_which_the_model_breaks_is_told_and_the_others_go_on() -> None:
    on = resident()

    def break_on(_module: Any, args: tuple[torch.Tensor, ...]) -> None:
        if (args[0] == 201).any():
            raise RuntimeError("no kernel for token 201")

    embeddings: Any = on.base.model.get_input_embeddings()  # type: ignore[operator]
    handle = embeddings.register_forward_pre_hook(break_on)
    try:
        requests = [
            request("a", {"lora": 1}),
            request("b", {}, (5, 201, 7)),
            request("c", {}, (5, 201)),
            request("d", {}),
        ]
        found = finished(Generator(on), requests)
    finally:
        handle.remove()
    assert {id: some[-1].finish for id, some in found.items()} == {
        "a": "length",
        "b": "error",
        "c": "error",
        "d": "length",
    }
    assert str(found["b"][-1].error) == str(found["c"][-1].error) == "no kernel for token 201"
    expected = tokens_of(finished(Generator(resident()), [requests[0], requests[3]]))
    assert {id: tokens for id, tokens in tokens_of(found).items() if tokens} == expected


def test_requests_wait_for_slots() -> None:
    on = resident(slots=1)
    generator = Generator(on)
    requests = [request(kind, {kind: 1}) for kind in KINDS[:5]]
    expected = tokens_of(finished(Generator(resident()), requests))
    assert tokens_of(finished(generator, requests)) == expected
    assert on.stats.evictions == 4
    two = finished(generator, [request("two", {"lora": 1, "svf": 1}), request("one", {"lora": 1})])
    assert (two["two"][-1].finish, two["one"][-1].finish) == ("error", "length")
    assert "more slots" in str(two["two"][-1].error)


@pytest.mark.parametrize("seed", range(2))
def test_whoever_comes_and_is_cancelled_the_others_say_what_they_say_alone(seed: int) -> None:
    random = Random(seed)
    names = [
        {},
        {"lora": 1.0},
        {"svf": 0.7, "dora": 1.0},
        {"soft_prompt": 1.0, "ia3": 1.0},
        {"prefix": 1.0, "rslora": 1.0},
    ]
    requests = [
        request(
            str(i),
            random.choice(names),
            (LONG + PROMPT)[random.randrange(8) :][: random.randint(1, 60)],
            random.randint(1, 20),
        )
        for i in range(14)
    ]
    alone = Generator(resident(slots=5), max_rows=1, prefix_cache_mb=0)
    expected = tokens_of(finished(alone, requests))
    generator = Generator(
        resident(slots=4), max_rows=random.randint(2, 6), chunk=random.choice((5, 32)), prefix_cache_mb=1
    )
    found: dict[str, list[int]] = {generation.id: [] for generation in requests}
    ends: dict[str, str] = {}
    waiting = list(requests)
    while waiting or not generator.idle:
        for _ in range(random.randrange(3)):
            if waiting:
                generator.add(waiting.pop())
        if random.random() < 0.2:
            generator.cancel(str(random.randrange(14)))
        for piece in generator.step():
            found[piece.id] += piece.tokens
            if piece.finish:
                assert piece.id not in ends
                ends[piece.id] = piece.finish
    assert set(ends) == set(found)
    assert "cancelled" in ends.values()
    for id, tokens in found.items():
        whole = expected[id]
        assert tuple(tokens) == (whole[: len(tokens)] if ends[id] == "cancelled" else whole)
    assert generator.stats.rows == 0
