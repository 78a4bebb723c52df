"""Continuous batching beside one request after the other, and beside the library's own.

Run with ``python -m benchmarks.speed generation``; with ``FAIRMOE_REAL_BASE`` or ``--base`` also on a published model.
16 requests of unlike length, greedy. One thread, sides interleaved, CPU time. Goal: at least 3 times the throughput of
one request after the other. ``generate_batch`` of the library has a paged cache and one adapter for all; its answers
are compared token by token.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.speed.timing import interleaved
from foundation.seeding import torch_generator
from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.runtime.generator import Generation, Generator
from llm_experts.runtime.resident import ResidentBase
from llm_experts.runtime.sampling import Sampling

REQUESTS = 16
GOAL = 3.0
SETTINGS = {"greedy": Sampling(), "top-p 0.9": Sampling(temperature=1.0, top_p=0.9, seed=0)}


def prompts(base: Base, longest: int) -> list[tuple[int, ...]]:
    """Random words, from a quarter of ``longest`` to ``longest`` tokens."""
    import torch

    generator, words = torch_generator(0, "prompts"), len(base.tokenizer)
    lengths = torch.linspace(longest / 4, longest, REQUESTS).long().tolist()
    return [tuple(torch.randint(words // 2, (length,), generator=generator).tolist()) for length in lengths]


def answers(base: Base, texts: list[tuple[int, ...]], sampling: Sampling, rows: int) -> dict[str, list[int]]:
    """Tokens of all answers, at most ``rows`` requests at a time."""
    generator = Generator(ResidentBase(base), max_rows=rows, prefix_cache_mb=0)
    for number, text in enumerate(texts):
        generator.add(Generation(str(number), text, sampling=sampling))
    said: dict[str, list[int]] = {str(number): [] for number in range(len(texts))}
    while not generator.idle:
        for piece in generator.step():
            said[piece.id] += piece.tokens
    return said


def by_library(base: Base, texts: list[tuple[int, ...]], count: int) -> dict[str, list[int]]:
    """The same by the library's continuous batching, greedy."""
    import transformers

    model: Any = base.model
    library: Any = transformers
    config = library.GenerationConfig(max_new_tokens=count, do_sample=False, eos_token_id=-1, pad_token_id=0)
    paged = library.ContinuousBatchingConfig(num_blocks=512, page_size=16, max_batch_tokens=512)
    inputs = [list(text) for text in texts]
    found = model.generate_batch(inputs, generation_config=config, continuous_batching_config=paged, progress_bar=False)
    order = sorted(found, key=lambda id: int(id.rpartition("_")[2]))
    return {str(number): found[id].generated_tokens for number, id in enumerate(order)}


def line(what: str, a: Callable[[], object], b: Callable[[], object], tokens: int, rounds: int, goal: str = "") -> None:
    """Print tokens a second of both sides and their ratio."""
    found = interleaved(a, b, rounds)
    print(
        f"{what}: {tokens / found.median_a:.0f} tokens a CPU second against {tokens / found.median_b:.0f}, "
        f"{found.ratio:.1f} times{goal}",
        flush=True,
    )


def measure(name: str, count: int, longest: int, rounds: int) -> None:
    """Print all lines of a base."""
    base = load_base(name, dtype="float32")
    texts, tokens = prompts(base, longest), REQUESTS * count
    label = Path(name).name
    for what, setting in SETTINGS.items():
        sampling = Sampling(count, setting.temperature, setting.top_p, seed=setting.seed, ignore_eos=True)
        together = lambda sampling=sampling: answers(base, texts, sampling, REQUESTS)  # noqa: E731
        alone = lambda sampling=sampling: answers(base, texts, sampling, 1)  # noqa: E731
        line(f"{label}, {what}, {REQUESTS} at once / one by one", together, alone, tokens, rounds, f" (goal {GOAL:g})")
    greedy = Sampling(count, ignore_eos=True)
    ours, theirs = answers(base, texts, greedy, REQUESTS), by_library(base, texts, count)
    same = sum(ours[id] == theirs[id] for id in ours)
    print(f"{label}, greedy answers that are the library's to the last token: {same} of {len(ours)}")
    line(
        f"{label}, greedy, this / the library's generate_batch",
        lambda: answers(base, texts, greedy, REQUESTS),
        lambda: by_library(base, texts, count),
        tokens,
        rounds,
    )


def main() -> None:
    """Measure nano, and a published model where there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default=os.environ.get("FAIRMOE_REAL_BASE"), help="folder of a published model")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds per side (default 3)")
    parser.add_argument("--tokens", type=int, default=24, help="tokens of every answer (default 24)")
    arguments = parser.parse_args()
    measure("nano", arguments.tokens, 48, arguments.rounds)
    if arguments.base:
        measure(arguments.base, arguments.tokens, 48, arguments.rounds)


if __name__ == "__main__":
    main()
