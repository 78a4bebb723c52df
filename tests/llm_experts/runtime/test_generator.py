"""Generation in a batch that rows join and leave: what the library generates one by one, with nothing lost."""

from threading import Thread
from typing import Any

import pytest
import torch

from llm_experts.bases.base import Base
from llm_experts.runtime.composition import BASE, Composition
from llm_experts.runtime.generation import Generation, TooLongError
from llm_experts.runtime.generator import Generator
from llm_experts.runtime.resident import ResidentBase
from llm_experts.runtime.sampling import Sampling
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.runtime.generation_fixtures import by_library, finished, tokens_of

PROMPTS = {
    "short": (7,),
    "some": tuple(range(20, 31)),
    "long": tuple(3 + (index * index) % 300 for index in range(90)),
    "other": tuple(range(50, 63)),
}


@pytest.fixture(scope="module")
def base() -> Base:
    return make_tiny_base()


def test_greedy_is_the_librarys_whoever_joins_and_leaves(base: Base) -> None:
    counts = {"short": 5, "some": 30, "long": 12, "other": 21}
    expected = {name: by_library(base.model, prompt, counts[name]) for name, prompt in PROMPTS.items()}
    generations = [
        Generation(name, prompt, BASE, Sampling(max_new_tokens=counts[name], ignore_eos=True))
        for name, prompt in PROMPTS.items()
    ]
    for rows, chunk in ((4, 256), (2, 7), (1, 16)):
        generator = Generator(ResidentBase(base), max_rows=rows, chunk=chunk)
        pieces = finished(generator, generations)
        assert tokens_of(pieces) == expected
        assert all(some[-1].finish == "length" for some in pieces.values())
        assert [piece.finish for some in pieces.values() for piece in some[:-1]] == [None] * (sum(counts.values()) - 4)
        stats = generator.stats
        assert (stats.rows, stats.waiting, stats.tokens) == (0, 0, sum(counts.values()))


def test_eager_attention_generates_the_same(base: Base) -> None:
    expected = by_library(base.model, PROMPTS["some"], 12)
    other = make_tiny_base()
    model: Any = other.model
    model.set_attn_implementation("eager")
    settings = Sampling(max_new_tokens=12, ignore_eos=True)
    generations = [Generation(name, prompt, BASE, settings) for name, prompt in PROMPTS.items()]
    assert tokens_of(finished(Generator(ResidentBase(other)), generations))["some"] == expected


def test_a_long_prompt_does_not_stop_the_others(base: Base) -> None:
    generator = Generator(ResidentBase(base), chunk=10)
    generator.add(Generation("fast", PROMPTS["short"], BASE, Sampling(max_new_tokens=50, ignore_eos=True)))
    generator.step()
    generator.add(Generation("slow", PROMPTS["long"], BASE, Sampling(max_new_tokens=2, ignore_eos=True)))
    answered = []
    while "slow" not in answered:
        answered += [piece.id for piece in generator.step()]
    assert answered[:-1].count("fast") == 9  # the prompt's 89 tokens ahead of its last in pieces of ten
    assert len(set(answered)) == 2


def test_the_end_of_a_text_stops_and_is_no_part_of_it(base: Base) -> None:
    continuation = by_library(base.model, PROMPTS["some"], 8)
    ended = make_tiny_base()
    ended.model.config.eos_token_id = continuation[4]
    found = finished(Generator(ResidentBase(ended)), [Generation("a", PROMPTS["some"], BASE, Sampling())])
    assert tokens_of(found)["a"] == continuation[: continuation.index(continuation[4])]
    assert (found["a"][-1].finish, found["a"][-1].tokens) == ("stop", ())


def test_stop_strings_end_an_answer_ahead_of_them(base: Base) -> None:
    tokenizer: Any = base.tokenizer
    whole = tokenizer.decode(by_library(base.model, PROMPTS["some"], 24), skip_special_tokens=True)
    stop = whole[9:13]
    assert whole.index(stop) > 0
    sampling = Sampling(max_new_tokens=24, stop=("never there", stop), ignore_eos=True)
    some = finished(Generator(ResidentBase(base)), [Generation("a", PROMPTS["some"], BASE, sampling)])["a"]
    assert "".join(piece.text for piece in some) == whole[: whole.index(stop)]
    assert some[-1].finish == "stop"


def test_pieces_carry_logprobs_of_their_tokens(base: Base) -> None:
    sampling = Sampling(max_new_tokens=6, logprobs=3, ignore_eos=True)
    some = finished(Generator(ResidentBase(base)), [Generation("a", PROMPTS["some"], BASE, sampling)])["a"]
    tokens = [token for piece in some for token in piece.tokens]
    model: Any = base.model
    ids = torch.tensor([[*PROMPTS["some"], *tokens]])
    expected = model(ids).logits[0, len(PROMPTS["some"]) - 1 : -1].log_softmax(-1)
    for place, piece in enumerate(some):
        [found] = piece.logprobs
        assert found.token == tokens[place] == found.top[0][0]
        assert len(found.top) == 3
        assert found.logprob == pytest.approx(float(expected[place, tokens[place]]), abs=1e-4)


def test_cancelling_frees_the_row_ahead_of_the_next_token_and_changes_no_other(base: Base) -> None:
    settings = Sampling(max_new_tokens=20, ignore_eos=True)
    expected = by_library(base.model, PROMPTS["other"], 20)
    generator = Generator(ResidentBase(base), max_rows=3)
    for name, prompt in PROMPTS.items():
        generator.add(Generation(name, prompt, BASE, settings))
    for _ in range(4):
        generator.step()
    assert (generator.stats.rows, generator.stats.waiting) == (3, 1)
    generator.cancel("some")
    generator.cancel("no such request")
    pieces = generator.step()
    assert [(piece.id, piece.finish) for piece in pieces if piece.finish] == [("some", "cancelled")]
    assert (generator.stats.rows, generator.stats.waiting) == (3, 0)  # "other" has the row
    generator.cancel("short")
    generator.cancel("long")
    found = [piece for piece in pieces if piece.id == "other"]
    while not generator.idle:
        found += [piece for piece in generator.step() if piece.id == "other"]
    assert tuple(token for piece in found for token in piece.tokens) == expected


def test_waiting_requests_can_be_cancelled(base: Base) -> None:
    generator = Generator(ResidentBase(base), max_rows=1)
    for id in "abc":
        generator.add(Generation(id, PROMPTS["some"], BASE, Sampling(max_new_tokens=3, ignore_eos=True)))
    generator.cancel("b")
    found = finished(generator, [])
    assert {id: (len(some), some[-1].finish) for id, some in found.items()} == {
        "a": (3, "length"),
        "b": (1, "cancelled"),
        "c": (3, "length"),
    }


def test_prompts_that_are_too_long_empty_or_foreign_are_refused(base: Base) -> None:
    generator = Generator(ResidentBase(base), max_tokens=40)
    with pytest.raises(TooLongError, match=r"40 tokens.*takes 40.*39 tokens or fewer"):
        generator.add(Generation("a", (5,) * 40))
    with pytest.raises(ValueError, match="is empty"):
        generator.add(Generation("a", ()))
    with pytest.raises(ValueError, match="has a token 4000"):
        generator.add(Generation("a", (4000,)))
    assert generator.idle


def test_an_answer_ends_where_the_context_does(base: Base) -> None:
    generator = Generator(ResidentBase(base), max_tokens=40)
    found = finished(generator, [Generation("a", (5,) * 35, BASE, Sampling(max_new_tokens=100, ignore_eos=True))])["a"]
    assert len([token for piece in found for token in piece.tokens]) == 5
    assert found[-1].finish == "length"


def test_memory_bounds_the_rows_and_nobody_waits_for_ever(base: Base) -> None:
    generator = Generator(ResidentBase(base), max_rows=8, max_tokens=200, prefix_cache_mb=0)
    settings = Sampling(max_new_tokens=10, ignore_eos=True)
    generations = [Generation(str(i), (5 + i,) * (90 if i % 3 == 0 else 10), BASE, settings) for i in range(9)]
    most = 0
    for generation in generations:
        generator.add(generation)
    done = []
    while not generator.idle:
        done += [piece.id for piece in generator.step() if piece.finish]
        rows = [*generator._answering, *generator._reading]
        most = max(most, len(rows) * max((row.need for row in rows), default=0))
    assert sorted(done) == sorted(generation.id for generation in generations)
    assert 100 < most <= 200
    assert generator.stats.cache_bytes <= 512 * generator._key_values.bytes_per_token


def test_the_same_seed_gives_the_same_text_in_any_company(base: Base) -> None:
    drawn = Sampling(max_new_tokens=15, temperature=1.0, top_p=0.95, seed=3, ignore_eos=True)
    alone = tokens_of(finished(Generator(ResidentBase(base)), [Generation("a", PROMPTS["some"], BASE, drawn)]))["a"]
    others = [
        Generation(name, prompt, BASE, Sampling(max_new_tokens=10, temperature=2.0)) for name, prompt in PROMPTS.items()
    ]
    generator = Generator(ResidentBase(base), max_rows=5)
    assert tokens_of(finished(generator, [*others, Generation("a", PROMPTS["some"], BASE, drawn)]))["a"] == alone


def test_times_by_phase(base: Base) -> None:
    generator = Generator(ResidentBase(base))
    finished(generator, [Generation("a", PROMPTS["long"], BASE, Sampling(max_new_tokens=3))])
    times = generator.timing("a")
    assert set(times) == {"queue", "load", "prefill", "decode"}
    assert all(value >= 0 for value in times.values())
    with pytest.raises(KeyError):
        generator.timing("b")
    generator.add(Generation("b", PROMPTS["long"], BASE, Sampling()))
    generator.add(Generation("c", PROMPTS["long"], Composition.of({"nobody": 1}), Sampling()))
    generator.cancel("b")
    assert {piece.id: piece.finish for piece in generator.step()} == {"b": "cancelled", "c": "error"}
    for id in "bc":  # ended without a row
        assert generator.timing(id)["queue"] > 0
        assert generator.timing(id)["decode"] == 0


def test_threads_may_add_and_cancel_while_another_generates(base: Base) -> None:
    generator = Generator(ResidentBase(base), max_rows=4)
    settings = Sampling(max_new_tokens=3, ignore_eos=True)

    def ask(thread: int) -> None:
        for number in range(20):
            generator.add(Generation(f"{thread}/{number}", PROMPTS["some"], BASE, settings))
            if number % 3 == 0:
                generator.cancel(f"{thread}/{number}")

    threads = [Thread(target=ask, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    ends: dict[str, str] = {}
    while any(thread.is_alive() for thread in threads) or not generator.idle:
        for piece in generator.step():
            if piece.finish:
                assert piece.id not in ends
                ends[piece.id] = piece.finish
    assert len(ends) == 80
    assert {end for id, end in ends.items() if int(id.partition("/")[2]) % 3} == {"length"}
    assert "cancelled" in ends.values()
