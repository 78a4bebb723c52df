"""Four experts trained together, as lanes over one base, beside the same four one after the other.

Run with ``python -m benchmarks.speed experts_together``; with ``FAIRMOE_REAL_BASE`` or ``--base`` also on a published
model, whose last four layers are adapted. Two cases over the same items: experts of unlike learning rates and one seed,
which see them in one order, so that a step has one batch for all; and experts of unlike seeds, each with an order of
its own. A published model is measured with one epoch and with three: layers below the adapters are read once however
many epochs there are, by four as by one, so that the more epochs, the less of the work is shared. Everything counts but
the loading of the base. One thread, sides interleaved, CPU time. Goal: at least twice as fast in one order.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.speed.texts.sft import assignment, ours
from benchmarks.speed.timing import base_arguments, interleaved, machine_load
from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.training.loop.assignment import Assignment

EXPERTS, GOAL = 4, 2.0


def experts(items: int, start: int, epochs: int, one_order: bool) -> list[Assignment]:
    """Four, of unlike learning rates and, unless they see the items in one order, seeds."""
    first = assignment(items, start, epochs=epochs)
    return [
        replace(
            first, name=f"expert{n}", settings=replace(first.settings, seed=0 if one_order else n, lr=1e-3 * (1 + n))
        )
        for n in range(EXPERTS)
    ]


def one_by_one(base: Base, given: list[Assignment]) -> None:
    """Each alone."""
    for each in given:
        ours(base, each)


def measure(name: str, start: int, items: int, rounds: int, epochs: int = 3) -> None:
    """Print a base's two lines."""
    base = load_base(name, dtype="float32")
    first = start % base.n_layers
    for one_order in (True, False):
        given = experts(items, first, epochs, one_order)
        found = interleaved(partial(ours, base, *given), partial(one_by_one, base, given), rounds, warm_up=rounds > 1)
        order = "one order" if one_order else "orders of their own"
        goal = f"goal {GOAL:g}" if one_order else "no goal"
        print(
            f"{Path(name).name}, {EXPERTS} experts on layers {first} to {base.n_layers - 1}, {items} items in {order}, "
            f"epochs {epochs}: {found.median_a:.2f} s together against "
            f"{found.median_b:.2f} s one after the other, {found.ratio:.2f} times ({goal})",
            flush=True,
        )


def main() -> None:
    """Measure nano, and a published model where there is one."""
    arguments = base_arguments(__doc__)
    print(machine_load())
    measure("nano", 0, 64, arguments.rounds)
    measure("nano", -1, 64, arguments.rounds)
    if arguments.base:
        for epochs in (1, 3):
            measure(arguments.base, -4, arguments.items, arguments.rounds, epochs)


if __name__ == "__main__":
    main()
