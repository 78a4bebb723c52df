"""Listed answers that share the reading of their prompt, beside a row of prompt and answer for each.

Run with ``python -m benchmarks.speed listed_answers``; with ``FAIRMOE_REAL_BASE`` or ``--base`` also on a published
model. Reading: the choices of the ten domains of a discovery, under one adapter. Learning: a step of ``choice`` of
eight experts, each with 16 items of its own domain; once more with all experts in one pass, in which the texts of one
are padded to those of the others. One thread, sides interleaved, CPU time; tokens are counted. Goal: a step in a third
of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.speed.timing import base_arguments, interleaved, machine_load
from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.data.example import Example
from llm_experts.discovery.measuring.domain import scenarios
from llm_experts.discovery.measuring.domains import DEFAULT_DOMAINS
from llm_experts.training.loop.assignment import Assignment
from llm_experts.training.loop.method import Run, method_named
from llm_experts.training.loop.order import items_of, micro_batches
from llm_experts.training.loop.settings import Settings
from llm_experts.training.methods import listed
from llm_experts.training.sequences import choices, runs
from llm_experts.training.sequences.answers import AnswerRows, answer_rows
from llm_experts.training.sequences.choices import choices_of
from llm_experts.training.sequences.lanes import SequenceLanes

EXPERTS, ITEMS, RANK, GOAL = 8, 16, 8, 3.0


def rows_apart(
    example: Example, base: Base, answers: Sequence[str], *, max_length: int, style: str = "auto"
) -> AnswerRows:
    """Each answer in a row of its own, prompt and all."""
    each = [answer_rows(example, base, [answer], max_length=max_length, style=style) for answer in answers]  # type: ignore[arg-type]
    return AnswerRows(tuple(found.rows[0] for found in each), tuple((row, 0) for row in range(len(each))))


@contextmanager
def apart() -> Iterator[None]:
    """Within, answers do not share their prompt."""
    before = choices.answer_rows, listed.answer_rows  # type: ignore[attr-defined]
    choices.answer_rows = listed.answer_rows = rows_apart  # type: ignore[attr-defined]
    try:
        yield
    finally:
        choices.answer_rows, listed.answer_rows = before  # type: ignore[attr-defined]


def in_one_pass(step: Callable[[], object]) -> None:
    """A step whose lanes go through the layers together, whatever the sizes of their texts."""
    before = dict(runs.PASS_TOKENS)
    runs.PASS_TOKENS.update(dict.fromkeys(before, 1 << 40))
    try:
        step()
    finally:
        runs.PASS_TOKENS.update(before)


def reading(base: Base, count: int, start: int) -> tuple[Callable[[], object], int]:
    """One reading of the choices of all domains, and its tokens without padding."""
    told = scenarios(DEFAULT_DOMAINS, "capability", count, 0)
    found = choices_of(base, told)
    lanes = SequenceLanes.fresh(base, "lora", [RANK], [0], start)
    return lambda: found.logprobs(lanes, lanes.start), sum(row.length for row in found.rows)


def learning(base: Base, start: int, experts: int = EXPERTS) -> Callable[[], object]:
    """The gradient of a step of all experts."""
    sets = [[one.example for one in scenarios([domain], "training", ITEMS, 0)] for domain in DEFAULT_DOMAINS[:experts]]
    settings = Settings(method="choice", rank=RANK, start=start, batch_size=ITEMS, max_length=512)
    lanes = SequenceLanes.fresh(base, "lora", [RANK] * experts, list(range(experts)), start)
    given = [Assignment(f"expert{n}", items, items, settings) for n, items in enumerate(sets)]
    method = method_named("choice").with_options({})
    method.start(Run(base, lanes, given, settings))
    items = [items_of(each, base, settings, method.needs) for each in sets]

    def step() -> None:
        for batch in micro_batches(items, base.device):
            theta = lanes.start.clone().requires_grad_()
            loss, _ = method.loss(lanes, theta, batch)
            torch.autograd.grad(loss.sum(), theta)

    return step


def measure(name: str, items: int, start: int, rounds: int, experts: int = EXPERTS) -> None:
    """Print a base's lines."""
    base = load_base(name, dtype="float32")
    first, called = start % base.n_layers, Path(name).name
    together, fewer = reading(base, items, first)
    with apart():
        alone, tokens = reading(base, items, first)
    found = interleaved(together, alone, rounds)
    print(
        f"{called}, {items} items of {len(DEFAULT_DOMAINS)} domains read, layers {first} to {base.n_layers - 1}: "
        f"{found.median_a:.2f} s against {found.median_b:.2f} s, {found.ratio:.2f} times; "
        f"{fewer:,} tokens against {tokens:,}",
        flush=True,
    )
    for lowest in sorted({0, first}) if base.n_layers < 10 else [first]:
        together_step = learning(base, lowest, experts)
        with apart():
            alone_step = learning(base, lowest, experts)
        found = interleaved(together_step, lambda step=alone_step: in_one_pass(step), rounds)  # type: ignore[misc]
        print(
            f"{called}, a step of {experts} experts on {ITEMS} items each, layers {lowest} to {base.n_layers - 1}: "
            f"{found.median_a:.2f} s against {found.median_b:.2f} s, {found.ratio:.2f} times (goal {GOAL:g})",
            flush=True,
        )
        found = interleaved(together_step, lambda step=together_step: in_one_pass(step), rounds)  # type: ignore[misc]
        print(f"    of it by lanes in runs of like size: {found.ratio:.2f} times", flush=True)


def main() -> None:
    """Measure nano, and a published model where there is one."""
    arguments = base_arguments(__doc__)
    print(machine_load())
    measure("nano", 30, -2, arguments.rounds)
    if arguments.base:
        measure(arguments.base, 2, -4, arguments.rounds, experts=2)


if __name__ == "__main__":
    main()
