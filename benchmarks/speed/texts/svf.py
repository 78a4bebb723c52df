"""SVF's two forms beside the base's forward pass, and what its preparation costs.

Run with ``python -m benchmarks.speed svf``. Two layers of Qwen3-0.6B's widths with random weights, all seven matrices
adapted. One thread, sides interleaved, medians of CPU time. The decompositions go to a temporary folder.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.texts.bank import WIDTHS, forward, line, random_base
from benchmarks.speed.timing import seconds
from foundation.seeding import torch_generator
from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import ADAPTERS
from llm_experts.adapters.state import adapter_state, set_adapter_state
from llm_experts.adapters.svf import spectra_in, svf_layers, svf_mixture
from llm_experts.bases.base import Base

EXPERTS = 4


def with_adapters(base: Base, rank: int | None, form: str) -> Any:
    """A PEFT model with SVF adapters that have learnt something, on a copy of the base."""
    model: Any = own_copy(base).model
    for index in range(EXPERTS):
        model = inject(model, ADAPTERS["svf"].make_config(rank, None, base.model, forward=form), index, f"a{index}")
        state = adapter_state(model, f"a{index}")
        drawn = {k: torch.randn(p.shape, generator=torch_generator(index, k)) * 0.1 for k, p in state.items()}
        set_adapter_state(model, drawn, f"a{index}")
    return model.requires_grad_(False)


def mixed(model: Any, ids: Tensor, alpha: Tensor) -> Tensor:
    """A mixture's logits; alpha is [K], or [rows, K] for every row its own."""
    with svf_mixture(model, [f"a{k}" for k in range(EXPERTS)], alpha):
        return forward(model, ids)


def rebuilt(model: Any, ids: Tensor) -> Tensor:
    """A pass after a switch: W' is built anew."""
    names = [f"a{k}" for k in range(EXPERTS)]
    following = names[(names.index(model.active_adapter) + 1) % EXPERTS]
    model.set_adapter(following, inference_mode=True)
    return forward(model, ids)


def preparation(base: Base) -> None:
    """Print the time of decomposing, and of reading decompositions again."""
    made: list[Any] = []
    cold = seconds(lambda: made.append(with_adapters(base, None, "factored")))
    warm = seconds(lambda: made.append(with_adapters(base, None, "factored")))
    count, size = len(svf_layers(made[0])), sum(v.numel() for v in adapter_state(made[0], "a0").values())
    print(
        f"{count} matrices decomposed in {cold:.1f} s, read from disk in {warm:.1f} s; {size:,} parameters an adapter"
    )


def main() -> None:
    """Print every comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds per side (default 5)")
    parser.add_argument("--tokens", type=int, default=64, help="tokens per row (default 64)")
    parser.add_argument("--rows", type=int, default=16, help="rows (default 16)")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    base, generator = random_base(), torch_generator(0, "rows")
    ids = torch.randint(0, WIDTHS["vocab_size"], (arguments.rows, arguments.tokens), generator=generator)
    alpha = torch.rand(arguments.rows, EXPERTS, generator=generator)
    plain = partial(forward, base.model, ids)
    with tempfile.TemporaryDirectory() as folder, spectra_in(Path(folder)):
        preparation(base)
        print(f"{arguments.rows} rows of {arguments.tokens} tokens:")
        for rank in (None, 64):
            factored = with_adapters(base, rank, "factored")
            said = "all singular values" if rank is None else f"{rank} singular values"
            line(f"factored, {said}", plain, partial(forward, factored, ids), arguments.rounds)
            line(
                f"factored, {said}, own mixture per row", plain, partial(mixed, factored, ids, alpha), arguments.rounds
            )
        built = with_adapters(base, None, "materialised")
        line("materialised", plain, partial(forward, built, ids), arguments.rounds)
        line("materialised, one mixture", plain, partial(mixed, built, ids, alpha[0]), arguments.rounds)
        line("materialised, another adapter every pass", plain, partial(rebuilt, built, ids), arguments.rounds)


if __name__ == "__main__":
    main()
