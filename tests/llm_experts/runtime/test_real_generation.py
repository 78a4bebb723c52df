"""A published model: compositions, templates and company change its answers as little as tiny ones'."""

from pathlib import Path
from typing import Any

import pytest
import torch

from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.prompts.chat import encode_chat, encode_prompt
from llm_experts.runtime.composition import BASE, Composition
from llm_experts.runtime.generation import Generation
from llm_experts.runtime.generator import Generator
from llm_experts.runtime.resident import ResidentBase
from llm_experts.runtime.sampling import Sampling
from tests.llm_experts.runtime.generation_fixtures import dense, finished, tokens_of
from tests.llm_experts.runtime.resident_fixtures import peft_adapter, saved

pytestmark = [pytest.mark.real_base, pytest.mark.slow]
PARTS = {"a": 0.7, "b": 1.0}
COUNT = 12


@pytest.fixture(scope="module")
def base() -> Base:
    import os

    return load_base(os.environ["FAIRMOE_REAL_BASE"])


def agree(model: Any, prompt: list[int], said: tuple[int, ...]) -> None:
    """Every token is the best of the library's logits behind the tokens before, or as good as that."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *said]])).logits[0, len(prompt) - 1 : -1]
    chosen = logits.gather(1, torch.tensor(said)[:, None])[:, 0]
    assert float((logits.amax(-1) - chosen).max()) < 1e-3


def test_a_chat_is_encoded_as_the_library_does_and_answered(base: Base, real_base_folder: Path) -> None:
    tokenizer: Any = base.tokenizer
    talk = [{"role": "user", "content": "What is the capital of France?"}]
    ids = encode_chat(base, talk)
    assert ids == tokenizer.apply_chat_template(talk, add_generation_prompt=True, return_dict=False)
    generator = Generator(ResidentBase(base))
    found = finished(generator, [Generation("a", tuple(ids), BASE, Sampling(max_new_tokens=24))])["a"]
    answer = "".join(piece.text for piece in found)
    assert "Paris" in answer
    assert "<|im_end|>" not in answer
    assert real_base_folder.is_dir()


def test_compositions_beside_each_other_say_what_dense_weights_say(base: Base) -> None:
    adapters = {"a": saved(peft_adapter("lora", 1, base=base, size=0.01), base)}
    adapters["b"] = saved(peft_adapter("ia3", 2, base=base, size=0.02), base)
    on = ResidentBase(base)
    for name, adapter in adapters.items():
        on.known(name, adapter)
    texts = ["The capital of France is", "Once upon a time", "def add(a, b):", "Water boils at a temperature of"]
    prompts = [tuple(encode_prompt(base, text)) for text in texts]
    settings = Sampling(max_new_tokens=COUNT, ignore_eos=True)
    requests = [Generation(f"base {n}", prompt, BASE, settings) for n, prompt in enumerate(prompts)]
    requests += [Generation(f"both {n}", prompt, Composition.of(PARTS), settings) for n, prompt in enumerate(prompts)]
    found = tokens_of(finished(Generator(on, chunk=16), requests))
    composed = dense(base, [(adapters[name], weight) for name, weight in PARTS.items()])
    for number, prompt in enumerate(prompts):
        agree(base.model, list(prompt), found[f"base {number}"])
        agree(composed, list(prompt), found[f"both {number}"])
    assert any(found[f"base {n}"] != found[f"both {n}"] for n in range(len(prompts)))


def test_a_longer_context_is_the_librarys(base: Base, real_base_folder: Path) -> None:
    scaled = load_base(str(real_base_folder), rope_scaling="yarn:4")
    assert scaled.context == 4 * base.context
    prompt = encode_prompt(base, "The capital of France is")
    settings = Sampling(max_new_tokens=COUNT, ignore_eos=True)
    found = finished(Generator(ResidentBase(scaled)), [Generation("a", tuple(prompt), BASE, settings)])
    agree(scaled.model, prompt, tokens_of(found)["a"])
