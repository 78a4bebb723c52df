"""Texts beyond a base's own context, and requests without end: memory stays what it has to be."""

import gc
from pathlib import Path
from typing import Any

import pytest
import torch

from llm_experts.bases.rope import rescaled, texts_of
from llm_experts.runtime.batch.row import Row
from llm_experts.runtime.composition import BASE, Composition
from llm_experts.runtime.generation import Generation, TooLongError
from llm_experts.runtime.generator import Generator
from llm_experts.runtime.resident import ResidentBase
from llm_experts.runtime.sampling import Sampling
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.runtime.generation_fixtures import finished, token_by_token, tokens_of
from tests.llm_experts.runtime.resident_fixtures import BASE as SMALL
from tests.llm_experts.runtime.resident_fixtures import peft_adapter, saved

CONTEXT = 32


def text(tokens: int) -> tuple[int, ...]:
    return tuple(3 + (n * n) % 300 for n in range(tokens))


@pytest.mark.parametrize("scaling", ["linear:4", "dynamic:4", "yarn:4"])
def test_long_and_short_texts_in_one_batch(scaling: str) -> None:
    base = make_tiny_base(layers=2, hidden=32)
    base.model.config.max_position_embeddings = CONTEXT
    scaled = rescaled(base, scaling)
    settings = Sampling(max_new_tokens=8, ignore_eos=True)
    requests = [Generation(str(n), text(n), BASE, settings) for n in (7, 60, 90)]
    expected = {}
    for generation in requests:
        with texts_of(torch.tensor([len(generation.prompt) + 8])):
            expected[generation.id] = token_by_token(scaled.model, generation.prompt, 8)
    generator = Generator(ResidentBase(scaled), chunk=30)
    assert tokens_of(finished(generator, requests)) == expected
    assert tokens_of(finished(generator, requests)) == expected
    assert generator.stats.prefix_hits == 2
    longer = Generation("longer", text(60), BASE, Sampling(max_new_tokens=20, ignore_eos=True))
    finished(generator, [longer])  # a dynamic scaling goes by the length: other keys for the same text
    assert generator.stats.prefix_hits == 2 + (not scaling.startswith("dynamic"))
    with pytest.raises(TooLongError, match="takes 128"):
        generator.add(Generation("too long", text(128), BASE, settings))


@pytest.mark.slow
def test_32_thousand_tokens_take_the_memory_of_their_keys_and_values() -> None:
    base = rescaled(make_tiny_base(layers=1, hidden=32), "yarn:32")
    tokens = 32_000
    assert base.context == 32_768
    generator = Generator(ResidentBase(base), max_rows=2, prefix_cache_mb=1, chunk=512)
    generator.add(Generation("a", text(tokens), BASE, Sampling(max_new_tokens=4, ignore_eos=True)))
    most, said = 0, []
    while not generator.idle:
        said += [token for piece in generator.step() for token in piece.tokens]
        most = max(most, generator.stats.cache_bytes)
    per_token = 1 * 2 * 2 * 8 * 4  # layers, keys and values, heads, width, bytes
    assert tokens * per_token <= most <= 1.6 * tokens * per_token  # room grows by halves
    assert generator.stats.prefix_bytes <= 2**20
    model: Any = base.model
    with torch.no_grad():
        last = model(input_ids=torch.tensor([[*text(tokens), *said[:-1]]]), logits_to_keep=4).logits[0]
    assert float((last.topk(2).values[:, 0] - last.topk(2).values[:, 1]).min()) > 1e-3
    assert last.argmax(-1).tolist() == said


def resident_bytes() -> int:
    """Memory of this process that is in use, as Linux counts it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc, which only Linux has")
def test_ten_thousand_requests_leave_nothing_behind() -> None:
    on = ResidentBase(SMALL, slots=2)
    names = ("lora", "ia3", "rslora")
    for seed, kind in enumerate(names):
        on.known(kind, saved(peft_adapter(kind, seed)))
    generator = Generator(on, prefix_cache_mb=1)

    def many(count: int) -> None:
        for number in range(count):
            composition = Composition.of({names[number // 50 % 3]: 1.0 + number % 7})
            settings = Sampling(max_new_tokens=1 + number % 2, temperature=number % 2, stop=("never",))
            generator.add(Generation(str(number), text(2 + number % 20), composition, settings))
            if number % 5 == 0:
                generator.cancel(str(number))
            if number % 64 == 63:
                while not generator.idle:
                    generator.step()
        while not generator.idle:
            generator.step()

    many(5_000)  # caches of the library, of the allocator and of finished requests' times are full
    gc.collect()
    before = resident_bytes()
    many(10_000)
    gc.collect()
    assert resident_bytes() - before < 8 * 2**20  # a kilobyte per request would be ten
    assert not [found for found in gc.get_objects() if type(found) is Row]
    assert generator.stats.rows == generator.stats.waiting == 0
