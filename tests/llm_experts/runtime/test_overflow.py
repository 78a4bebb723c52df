"""Requests whose numbers overflow: they are told, and nobody who comes after them or beside them notices."""

from dataclasses import replace
from typing import Any

import pytest

from llm_experts.adapters.store import SavedAdapter
from llm_experts.runtime.batch.forward import NotFiniteError
from llm_experts.runtime.composition import BASE, Composition
from llm_experts.runtime.generation import Generation
from llm_experts.runtime.generator import Generator
from llm_experts.runtime.resident import ResidentBase
from llm_experts.runtime.sampling import Sampling
from tests.llm_experts.runtime.generation_fixtures import by_library, finished, tokens_of
from tests.llm_experts.runtime.resident_fixtures import BASE as TINY
from tests.llm_experts.runtime.resident_fixtures import peft_adapter, saved

SHORT, LONG, OTHER = (7, 8, 9), tuple(range(20, 60)), tuple(range(70, 110))
SETTINGS = Sampling(max_new_tokens=8, ignore_eos=True)


def overflowing() -> SavedAdapter:
    """A LoRA whose sums are beyond float32."""
    sound = saved(peft_adapter("lora"))
    return replace(sound, state={name: tensor * 1e25 for name, tensor in sound.state.items()})


@pytest.mark.parametrize("ahead", [0, 1, 2])
@pytest.mark.parametrize("chunk", [256, 8])
def test_what_overflowed_spoils_no_row_that_comes_to_its_place(ahead: int, chunk: int) -> None:
    resident = ResidentBase(TINY, slots=1)
    resident.known("bad", overflowing())
    generator = Generator(resident, max_rows=4, chunk=chunk)
    bad = Composition.of({"bad": 1})
    rows = [Generation(f"row {number}", SHORT, BASE, SETTINGS) for number in range(ahead)]
    rows += [Generation(f"bad {number}", LONG, bad, SETTINGS) for number in range(2)]
    pieces = finished(generator, rows)
    for number in range(2):
        assert isinstance(pieces[f"bad {number}"][-1].error, NotFiniteError)
    after = [Generation("long", OTHER, BASE, SETTINGS)]
    after += [Generation(f"short {number}", SHORT, BASE, SETTINGS) for number in range(3)]
    found = tokens_of({**pieces, **finished(generator, after)})
    expected = by_library(TINY.model, SHORT, 8)
    assert {found[f"short {number}"] for number in range(3)} == {expected}
    assert {found[f"row {number}"] for number in range(ahead)} <= {expected}
    assert found["long"] == by_library(TINY.model, OTHER, 8)


EXTREME: list[dict[str, Any]] = [
    {"temperature": 5e-324},
    {"temperature": 1e-310, "top_k": 3},
    {"temperature": 1e-310, "top_p": 0.5},
]


@pytest.mark.parametrize("settings", EXTREME)
def test_the_smallest_temperatures_take_the_likeliest_token(settings: dict[str, Any]) -> None:
    drawn = Sampling(max_new_tokens=8, ignore_eos=True, seed=1, **settings)
    rows = [Generation("greedy", SHORT, BASE, SETTINGS), Generation("drawn", SHORT, BASE, drawn)]
    found = tokens_of(finished(Generator(ResidentBase(TINY)), rows))
    assert found["drawn"] == found["greedy"]


@pytest.mark.parametrize("penalty", [1e-30, 5e-324, 100.0])
def test_any_penalty_that_is_taken_ends_no_batch(penalty: float) -> None:
    drawn = Sampling(
        max_new_tokens=8, ignore_eos=True, temperature=1.0, repetition_penalty=penalty, frequency_penalty=-100
    )
    rows = [Generation("greedy", SHORT, BASE, SETTINGS), Generation("drawn", SHORT, BASE, drawn)]
    found = tokens_of(finished(Generator(ResidentBase(TINY)), rows))
    assert len(found["drawn"]) == 8
    assert found["greedy"] == by_library(TINY.model, SHORT, 8)
