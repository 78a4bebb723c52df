"""Every kind of adapter, fine-tuned on one family: right answers, parameters, bytes and time.

    python -m benchmarks.studies kinds --folder results/kinds
    python -m benchmarks.studies kinds --family lookup --kinds lora svf --seeds 3

Each seed has items, first weights and an order of its own. The first one tries several rates around the kind's own, as
lanes over the same items: validation items say which of them the others take, and which checkpoint of each is kept.
Test items are asked once, at the end. What ``--folder`` holds already is not trained again.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.studies.parts.choosing import at_best_rate
from benchmarks.studies.parts.measures import correctness, right
from benchmarks.studies.parts.statistics import share

if TYPE_CHECKING:
    from llm_experts.bases.base import Base
    from llm_experts.training.loop.assignment import Assignment, Fitted

COLUMNS = ("kind", "rate", "parameters", "fewer than LoRA's", "kB", "right answers", "over seeds", "seconds")
HEADING = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"
VALIDATION = 60
FACTORS = (0.3, 1.0, 3.0)
"""On the learning rate of a kind: tried by the first seed."""
REFERENCE = "lora"
"""At rank 16: what the number of parameters is compared with."""


@dataclass(frozen=True)
class Plan:
    """What is tried: family, difficulty, items and steps of each seed, and test items."""

    family: str
    difficulty: float
    count: int
    steps: int
    items: int
    seeds: int


def trained(base: Base, kind: str, plan: Plan, folder: Path) -> tuple[float, list[Fitted]]:
    """A kind's rate, and an expert of each seed."""
    from llm_experts.training.loop.presets import learning_rate

    rates = [factor * learning_rate(kind, base) for factor in FACTORS]
    return at_best_rate(base, rates, plan.seeds, partial(assignments, base, kind, plan), folder)


def assignments(base: Base, kind: str, plan: Plan, seed: int, rates: Sequence[float]) -> list[Assignment]:
    """Experts of a seed, one per rate; matrices have rank 16, prompts 16 tokens, SVF all singular values."""
    from llm_experts.families.registry import family_named
    from llm_experts.training.loop.assignment import Assignment
    from llm_experts.training.loop.settings import Settings

    family = family_named(plan.family)
    train = family.make("train", plan.count, seed, plan.difficulty)
    held = family.make("validation", VALIDATION, 0, plan.difficulty)

    return [
        Assignment(
            f"{kind}-{seed}-{rate:.2g}",
            train,
            held,
            Settings(
                kind=kind, rank=None if kind in ("svf", "ia3") else 16, steps=plan.steps, seed=seed, lr=rate,
                max_length=min(512, base.context - 16), evaluate_every=max(1, plan.steps // 5), patience=5,
            ),
            correctness(family),
            family.longest_answer,
        )
        for rate in rates
    ]  # fmt: skip


def row(base: Base, rate: float, fitted: Sequence[Fitted], plan: Plan, reference: int) -> str:
    """A kind's row of the Markdown table."""
    from llm_experts.families.registry import family_named
    from llm_experts.training.sequences.lanes import SequenceLanes

    family = family_named(plan.family)
    asked = family.make("test", plan.items, 0, plan.difficulty)
    lanes = SequenceLanes.of(base, [each.adapter for each in fitted])
    hits = [int(own) for own in right(lanes, family, asked).sum(1)]
    first = fitted[0]
    cells = (
        first.adapter.kind,
        f"{rate:.2g}",
        f"{first.parameters:,}",
        f"{reference / first.parameters:.1f} ×",
        f"{first.adapter.bytes / 1000:.1f}",
        share(sum(hits) / len(hits), plan.items),
        f"{min(hits) / plan.items:.2f} … {max(hits) / plan.items:.2f}",
        f"{first.seconds:.0f}",
    )
    return f"| {' | '.join(cells)} |"


def main(argv: Sequence[str]) -> None:
    """Print the table."""
    import torch

    from llm_experts.adapters.registry import KINDS
    from llm_experts.bases.load import load_base
    from llm_experts.families.registry import family_named
    from llm_experts.training.sequences.lanes import SequenceLanes

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies kinds", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), metavar="KIND")
    parser.add_argument("--family", default="classification", help="default classification")
    parser.add_argument("--difficulty", type=float, default=0.0, help="of all items (default 0)")
    parser.add_argument("--count", type=int, default=1000, help="training items of each seed (default 1000)")
    parser.add_argument("--steps", type=int, default=150, help="optimiser steps of 16 items (default 150)")
    parser.add_argument("--items", type=int, default=200, help="test items (default 200)")
    parser.add_argument("--seeds", type=int, default=2, help="experts of each kind (default 2)")
    parser.add_argument("--base", default="nano")
    parser.add_argument("--folder", type=Path, default=None, help="keep the experts here, and go on from there")
    given = parser.parse_args(list(argv))
    torch.set_num_threads(1)
    base = load_base(given.base)
    plan = Plan(given.family, given.difficulty, given.count, given.steps, given.items, given.seeds)
    family = family_named(plan.family)
    untrained = SequenceLanes.fresh(base, REFERENCE, [16], [0])
    asked = family.make("test", plan.items, 0, plan.difficulty)
    before = right(untrained, family, asked).sum()
    print(f"{plan.family}, {plan.count} items, {plan.steps} steps; {base.id} itself: {share(before, plan.items)}\n")
    print(HEADING)
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for kind in given.kinds:
            print(row(base, *trained(base, kind, plan, folder), plan, untrained.parameter_count), flush=True)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
