"""How well nano learns each family of tasks: answers before and after, by the family's checker, three seeds.

    python -m benchmarks.studies families --families lookup strings --rates 2e-3 5e-3

Per family one LoRA of rank 16 for each seed; each seed has training items, first weights and an order of its own. The
first seed tries all rates, as lanes over the same items: validation items say which of them the others take, and which
checkpoint of each is kept. Test items are asked once, at the end.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.studies.parts.choosing import at_best_rate
from benchmarks.studies.parts.measures import correctness, right
from benchmarks.studies.parts.statistics import share
from foundation.files import write_text

if TYPE_CHECKING:
    from llm_experts.bases.base import Base
    from llm_experts.families.family import Family
    from llm_experts.training.loop.assignment import Assignment

EASY = 0.0
VALIDATION, EVALUATIONS = 60, 4
RATES = (2e-3, 5e-3)


@dataclass(frozen=True)
class Plan:
    """What is tried.

    Attributes
    ----------
    difficulty : float
        Of all items.
    count : int
        Training items of each seed.
    steps, batch_size : int
        Optimiser steps, and items of a step.
    rates : tuple of float
        Peak learning rates to choose from.
    items : int
        Test items.
    seeds : int
    """

    difficulty: float
    count: int
    steps: int
    batch_size: int
    rates: tuple[float, ...]
    items: int
    seeds: int


@dataclass(frozen=True)
class Learnt:
    """What came of one family: right answers of ``items`` test items, of the base and of every seed."""

    family: str
    items: int
    rate: float
    before: int
    after: tuple[int, ...]
    seconds: float

    def row(self, plan: Plan) -> str:
        """As a row of a Markdown table; intervals are Wilson's, over items; the range is over seeds."""
        shares = [hits / self.items for hits in self.after]
        cells = (
            self.family,
            f"{plan.difficulty:g}",
            f"{plan.count} × {plan.steps}",
            f"{self.rate:g}",
            share(self.before, self.items),
            share(sum(self.after) / len(self.after), self.items),
            f"{min(shares):.2f} … {max(shares):.2f}",
            f"{self.seconds:.0f}",
        )
        return f"| {' | '.join(cells)} |"


HEADING = """| family | difficulty | items × steps | rate | nano [95 %] | after [95 %] | seeds | CPU s |
|---|---|---|---|---|---|---|---|"""


def study(base: Base, family: Family, plan: Plan, folder: Path) -> Learnt:
    """Choose a rate, train the seeds of one family and ask what they learnt."""
    from llm_experts.training.sequences.lanes import SequenceLanes

    start = time.process_time()
    rate, fitted = at_best_rate(base, plan.rates, plan.seeds, partial(_assignments, base, family, plan), folder)
    asked = family.make("test", plan.items, 0, plan.difficulty)
    after = right(SequenceLanes.of(base, [each.adapter for each in fitted]), family, asked)
    before = right(SequenceLanes.bare(base), family, asked)
    return Learnt(
        family.name, len(asked), rate, int(before.sum()), tuple(int(hits) for hits in after.sum(1)),
        time.process_time() - start,
    )  # fmt: skip


def _assignments(
    base: Base, family: Family, plan: Plan, seed: int, rates: Sequence[float]
) -> list[Assignment]:  # fmt: skip
    """One expert of a seed for each rate."""
    from llm_experts.training.loop.assignment import Assignment
    from llm_experts.training.loop.settings import Settings

    train = family.make("train", plan.count, seed, plan.difficulty)
    held = family.make("validation", VALIDATION, 0, plan.difficulty)

    return [
        Assignment(
            f"{family.name.replace(':', '-')}-{seed}-{rate:g}",
            train,
            held,
            Settings(
                steps=plan.steps, batch_size=plan.batch_size, lr=rate, seed=seed, max_length=base.context,
                evaluate_every=max(1, plan.steps // EVALUATIONS), patience=EVALUATIONS,
            ),
            correctness(family),
        )
        for rate in rates
    ]  # fmt: skip


def main(argv: Sequence[str]) -> None:
    """Print the table of the families named, and write it where ``--output`` says."""
    import torch

    from llm_experts.bases.load import load_base
    from llm_experts.families.registry import FAMILIES, family_named

    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies families", description=__doc__)
    generated = [name for name, family in FAMILIES.items() if not family.published]
    parser.add_argument("--families", nargs="+", default=generated, metavar="NAME")
    parser.add_argument("--difficulty", type=float, default=EASY)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument(
        "--rates", type=float, nargs="+", default=RATES, metavar="RATE", help="peak learning rates to try"
    )
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--base", default="nano")
    parser.add_argument("--output", type=Path, default=None, help="Also write the table to this file.")
    given = parser.parse_args(list(argv))
    torch.set_num_threads(1)
    base = load_base(given.base)
    plan = Plan(
        given.difficulty, given.count, given.steps, given.batch_size, tuple(given.rates), given.items, given.seeds
    )  # fmt: skip
    rows = []
    print(HEADING)
    for name in given.families:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(study(base, family_named(name), plan, Path(folder)).row(plan))
        print(rows[-1], flush=True)
    if given.output is not None:
        write_text(given.output, "\n".join([HEADING, *rows]) + "\n")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
