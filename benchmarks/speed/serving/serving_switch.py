"""Switching, loading and composing experts on a resident base, beside PEFT.

Run with ``python -m benchmarks.speed serving_switch``. One thread, sides interleaved, medians of CPU time.

1. Hot switch on a model of 196 matrices (28 layers): another composition in :meth:`ResidentBase.run` against PEFT's
   ``set_adapter``. Goal: 100 times faster.
2. Hot load: a LoRA of 20 MB, which was read before, into a slot, over another one; against PEFT's ``load_adapter`` of
   the same files (a name that is new to it; it is deleted outside of the time). Goals: 10 ms, 20 times faster. What it
   takes from the files (hashed, read, checked) is told beside it.
3. 16 requests on two layers of Qwen3-0.6B's widths, each its own composition of 8 adapters of rank 16, against the same
   batch on one expert: a first pass over 32 tokens, and a further token with keys and values kept. Goal: 1.3.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.texts.bank import ROWS, WIDTHS, random_base
from benchmarks.speed.timing import interleaved
from foundation.seeding import torch_generator
from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import ADAPTERS
from llm_experts.adapters.state import adapter_state, set_adapter_state
from llm_experts.adapters.store import SavedAdapter, save_adapter
from llm_experts.bases.base import Base
from llm_experts.runtime.composition import Composition
from llm_experts.runtime.resident import ResidentBase

RANK = 16
COUNT = 8
DEEP: dict[str, Any] = {
    "vocab_size": 256, "hidden_size": 640, "intermediate_size": 1792, "num_hidden_layers": 28,
    "num_attention_heads": 10, "num_key_value_heads": 5, "head_dim": 64, "max_position_embeddings": 256,
}  # fmt: skip
ONE, OTHER = (Composition.of({name: 1.0}) for name in ("a0", "a1"))


def learnt(base: Base, name: str) -> SavedAdapter:
    """A LoRA of all seven matrices with random weights."""
    model: Any = inject(own_copy(base).model, ADAPTERS["lora"].make_config(RANK, None, base.model), 0, "default")
    state = adapter_state(model)
    drawn = {key: torch.randn(v.shape, generator=torch_generator(0, name, key)) * 0.02 for key, v in state.items()}
    config = model.peft_config["default"]
    return SavedAdapter("lora", config, drawn, base.id, base.hash, {}, {})


def switching(on: ResidentBase, peft_model: Any, rounds: int, repeats: int = 200) -> None:
    """Another composition against PEFT's switch; a switch of ours is too short for one reading of the clock."""
    turns = itertools.cycle((ONE, OTHER))
    names = itertools.cycle(("a0", "a1"))

    def ours() -> None:
        for _ in range(repeats):
            with on.run([next(turns)]):
                pass

    def unseen() -> None:
        for index in range(repeats):
            with on.run([Composition.of({"a0": 1 + index / repeats, "a1": 0.5})]):
                pass

    with on.lease([ONE, OTHER]):
        found = interleaved(ours, lambda: peft_model.set_adapter(next(names)), rounds)
        first = interleaved(unseen, lambda: None, rounds).median_a / repeats
    ratio = found.ratio * repeats
    print(
        f"hot switch, {matrices(on.base)} matrices: {found.median_a / repeats * 1e6:.0f} µs against "
        f"{found.median_b * 1e3:.0f} ms of PEFT's set_adapter: {ratio:,.0f} times faster (goal 100); a "
        f"composition that never ran before: {first * 1e6:.0f} µs",
        flush=True,
    )


def matrices(base: Base) -> int:
    """Number of matrices that adapters change."""
    return 7 * base.n_layers


def loading(base: Base, peft_model: Any, folders: Sequence[Path], rounds: int) -> None:
    """An adapter into a slot over another, and from its files, against PEFT from its files."""
    on = ResidentBase(base, slots=1, rank=RANK)
    for name, folder in zip(("a0", "a1"), folders, strict=True):
        on.known(name, folder)
    names, fresh = itertools.cycle(("a0", "a1")), (f"new{index}" for index in itertools.count())
    new: list[str] = []

    def peft() -> None:
        new.append(next(fresh))
        peft_model.load_adapter(folders[0], new[-1])

    def forgotten() -> None:
        for name in new:
            peft_model.delete_adapter(name)
        new.clear()

    def cold() -> None:
        on.unload("a0")
        on.load("a0")

    size = sum(value.numel() for value in learnt(base, "a0").state.values()) * 4 / 1e6
    hot = rounds_of(lambda: on.load(next(names)), peft, rounds, forgotten)
    print(
        f"hot load, {size:.1f} MB: {hot[0] * 1e3:.1f} ms (wall {hot[2] * 1e3:.1f} ms, goal 10) against "
        f"{hot[1] * 1e3:.0f} ms of PEFT's load_adapter: {hot[1] / hot[0]:.0f} times faster (goal 20)",
        flush=True,
    )
    start = rounds_of(cold, lambda: None, rounds, lambda: None)
    print(f"load from its files: {start[0] * 1e3:.0f} ms", flush=True)


def rounds_of(
    ours: Callable[[], object], other: Callable[[], object], rounds: int, between: Callable[[], object]
) -> tuple[float, float, float]:
    """Medians: CPU seconds of both sides, wall seconds of ours. ``between`` is not timed."""
    taken: list[tuple[float, float, float]] = []
    for _ in range(rounds + 1):
        wall, start = time.perf_counter(), time.process_time()
        ours()
        middle, walled = time.process_time(), time.perf_counter() - wall
        other()
        taken.append((middle - start, time.process_time() - middle, walled))
        between()
    one, two, three = (sorted(side)[len(side) // 2] for side in zip(*taken[1:], strict=True))
    return one, two, three


@torch.no_grad()
def composing(rounds: int, tokens: int) -> None:
    """16 requests, each its own composition of 8 adapters, against the same batch on one expert."""
    from transformers import DynamicCache

    base = random_base()
    on = ResidentBase(base, slots=COUNT, rank=RANK)
    for index in range(COUNT):
        on.load(f"a{index}", learnt(base, f"a{index}"))
    generator = torch_generator(0, "rows")
    weights = torch.rand(ROWS, COUNT, generator=generator).softmax(-1).tolist()
    own = [Composition.of({f"a{k}": weight for k, weight in enumerate(row)}) for row in weights]
    ids = torch.randint(0, WIDTHS["vocab_size"], (ROWS, tokens), generator=generator)
    model: Any = on.base.model

    def first(compositions: Sequence[Composition]) -> None:
        with on.run(compositions):
            model(input_ids=ids, logits_to_keep=1)

    def further(compositions: Sequence[Composition], cache: Any, token: Tensor) -> None:
        with on.run(compositions):
            model(input_ids=token, past_key_values=cache, use_cache=True)
        cache.crop(-1)

    with on.lease([*own, ONE]):
        cache = DynamicCache()
        with on.run(own):
            model(input_ids=ids, past_key_values=cache, use_cache=True)
        sides: list[tuple[str, Callable[[Sequence[Composition]], object]]] = [
            (f"a first pass over {tokens} tokens", first),
            ("a further token", partial(further, cache=cache, token=ids[:, :1])),
        ]
        for what, work in sides:
            found = interleaved(lambda: work([ONE] * ROWS), lambda: work(own), rounds)  # noqa: B023
            print(
                f"{ROWS} requests, each its own composition of {COUNT}, {what}: {found.ratio:.2f} times the same batch "
                f"on one expert ({found.median_b * 1e3:.0f} ms against {found.median_a * 1e3:.0f} ms; goal 1.3)",
                flush=True,
            )


def deep_base() -> Base:
    """28 layers, 196 matrices, whose LoRA of rank 16 has 20 MB."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    model: Any = Qwen3ForCausalLM(Qwen3Config(**DEEP))
    model.eval().requires_grad_(False)
    tokenizer: Any = None
    return Base("deep", model, tokenizer, "deep")


def main() -> None:
    """Print every comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds per side (default 7)")
    parser.add_argument("--tokens", type=int, default=32, help="tokens of a first pass (default 32)")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    base = deep_base()
    with tempfile.TemporaryDirectory() as name:
        folders = []
        for index in range(2):
            folders.append(Path(name) / f"a{index}")
            given = learnt(base, f"a{index}")
            save_adapter(folders[-1], base, given.config, given.state)
        peft_model: Any = inject(own_copy(base).model, learnt(base, "a0").config, 0, "a0")
        for index, folder in enumerate(folders):
            if index:
                peft_model.load_adapter(folder, f"a{index}")
            else:
                set_adapter_state(peft_model, learnt(base, "a0").state, "a0")
        on = ResidentBase(base, rank=RANK)
        for index, folder in enumerate(folders):
            on.load(f"a{index}", folder)
        switching(on, peft_model, asked.rounds)
        loading(base, peft_model, folders, asked.rounds)
    composing(asked.rounds, asked.tokens)


if __name__ == "__main__":
    main()
