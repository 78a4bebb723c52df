"""The bank of stacked adapters beside the base's forward pass, and beside PEFT.

Run with ``python -m benchmarks.speed bank``. Two layers of Qwen3-0.6B's widths with random weights, 8 LoRA adapters of
rank 16 on all seven matrices, 16 rows. One thread, sides interleaved, medians of CPU time. Goal: every row its own
mixture of the 8 adapters for at most 1.3 times the base's time, exact to 1e-5 of the logits' size. PEFT cannot mix per
row; it is timed with all 8 adapters active (the same sum for every row) and with one adapter per row.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.speed.timing import interleaved
from foundation.seeding import torch_generator
from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import ADAPTERS
from llm_experts.adapters.state import adapter_state, set_adapter_state
from llm_experts.bases.base import Base
from llm_experts.mixtures.bank import AdapterBank

ADAPTERS_COUNT = 8
RANK = 16
ROWS = 16
WIDTHS: dict[str, Any] = {
    "vocab_size": 1024,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 2,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 1024,
}


def random_base() -> Base:
    """A base of the widths, its matrices drawn by a seed. It has no tokenizer: texts are drawn as token ids."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    model: Any = Qwen3ForCausalLM(Qwen3Config(**WIDTHS))
    model.eval().requires_grad_(False)
    for name, weight in sorted(model.named_parameters()):
        if weight.ndim == 2:
            weight.copy_(torch.randn(weight.shape, generator=torch_generator(0, name)) * 0.02)
    tokenizer: Any = None
    return Base("random", model, tokenizer, "random")


def with_adapters(base: Base) -> Any:
    """A PEFT model with 8 adapters that have learnt something, on a copy of the base."""
    model: Any = own_copy(base).model
    for index in range(ADAPTERS_COUNT):
        name = f"a{index}"
        config = ADAPTERS["lora"].make_config(RANK, None, base.model)
        model = inject(model, config, index, name)
        state = adapter_state(model, name)
        drawn = {k: torch.randn(v.shape, generator=torch_generator(index, k)) * 0.02 for k, v in state.items()}
        set_adapter_state(model, drawn, name)
    return model.requires_grad_(False)


@torch.no_grad()
def forward(model: Any, ids: Tensor, **options: Any) -> Tensor:
    """Hidden states' logits at the last token."""
    found: Tensor = model(input_ids=ids, logits_to_keep=1, **options).logits
    return found


def mixed(bank: AdapterBank, ids: Tensor, gate: Tensor) -> Tensor:
    """The same through the bank."""
    with bank.gate(gate):
        return forward(bank.base.model, ids)


def one_by_one(base: Base, peft_model: Any, ids: Tensor, gate: Tensor) -> Tensor:
    """Every row on its own: the matrices run each adapter and sum what it adds."""
    copy = own_copy(base)
    weights = [gate[:, k, None, None] for k in range(ADAPTERS_COUNT)]
    adapted = dict(peft_model.get_base_model().named_modules())

    def summed(name: str, _module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        layer, total = adapted[name], output
        for k, weight in enumerate(weights):
            low = layer.lora_B[f"a{k}"](layer.lora_A[f"a{k}"](args[0]))
            total = total + weight * layer.scaling[f"a{k}"] * low
        return total

    for name, module in copy.model.named_modules():
        if hasattr(adapted.get(name), "lora_A"):
            module.register_forward_hook(partial(summed, name))
    return forward(copy.model, ids)


def line(what: str, base: Callable[[], object], other: Callable[[], object], rounds: int, goal: str = "") -> None:
    """Print how much of the base's time a forward pass takes."""
    found = interleaved(base, other, rounds)
    print(
        f"{what}: {found.ratio:.2f} times the base's forward pass ({found.median_b * 1e3:.0f} ms against "
        f"{found.median_a * 1e3:.0f} ms){goal}",
        flush=True,
    )


def load_times(bank: AdapterBank, peft_model: Any, rounds: int) -> None:
    """Print what it takes to bring in another adapter, and to switch."""
    sources = [(peft_model.peft_config[f"a{k}"], adapter_state(peft_model, f"a{k}")) for k in range(2)]
    gate = torch.eye(ADAPTERS_COUNT)[0]

    def timed(work: Callable[[int], object]) -> float:
        taken = []
        for index in range(rounds):
            start = time.perf_counter()
            work(index)
            taken.append(time.perf_counter() - start)
        return sorted(taken)[rounds // 2] * 1e3

    def switch(_index: int) -> None:
        with bank.gate(gate):
            pass

    bank.attach()
    size = sum(value.numel() for value in sources[0][1].values()) * 4 / 1e6
    hot = timed(lambda index: bank.load_slot(0, sources[index % 2]))
    gates = timed(switch)
    peft = timed(lambda index: peft_model.set_adapter(f"a{index % 2}"))
    bank.detach()
    print(
        f"an adapter of {size:.1f} MB into a slot: {hot:.2f} ms; another gate: {gates:.3f} ms; "
        f"PEFT's switch: {peft:.2f} ms"
    )


def main() -> None:
    """Print every comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds per side (default 9)")
    parser.add_argument("--tokens", type=int, nargs="+", default=[32, 96], help="tokens per row (default 32 96)")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    base = random_base()
    peft_model = with_adapters(base)
    sources = [(peft_model.peft_config[f"a{k}"], adapter_state(peft_model, f"a{k}")) for k in range(ADAPTERS_COUNT)]
    bank = AdapterBank.from_adapters(base, sources)
    generator = torch_generator(0, "rows")
    for tokens in arguments.tokens:
        ids = torch.randint(0, WIDTHS["vocab_size"], (ROWS, tokens), generator=generator)
        gate = torch.rand(ROWS, ADAPTERS_COUNT, generator=generator).softmax(-1)
        expected, found = one_by_one(base, peft_model, ids, gate), mixed(bank, ids, gate)
        error = float((found - expected).abs().max() / expected.abs().max())
        print(f"{ROWS} rows of {tokens} tokens; bank against one by one: {error:.1e} of the largest logit (goal 1e-5)")
        plain = partial(forward, base.model, ids)
        rounds = arguments.rounds
        line("bank, own mixture per row", plain, partial(mixed, bank, ids, gate), rounds, " (goal 1.3)")
        peft_model.base_model.set_adapter([f"a{k}" for k in range(ADAPTERS_COUNT)])
        line("PEFT, 8 adapters active for all rows", plain, partial(forward, peft_model, ids), rounds)
        names = [f"a{row % ADAPTERS_COUNT}" for row in range(ROWS)]
        line("PEFT, one adapter per row", plain, partial(forward, peft_model, ids, adapter_names=names), rounds)
    load_times(bank, peft_model, 9)


if __name__ == "__main__":
    main()
