"""The expected reward in closed form beside sampled RLOO: forward passes of a text until both have the same score.

Run with ``python -m benchmarks.speed expected_reward``. Both learn the two labels of made sentences on nano from a
checker alone, beginning with the same expert that has seen a few written answers. A pass is one text (prompt and
answer) through the model with its gradient, or one token of one answer that is generated. Counts do not depend on the
machine; seconds of CPU stand beside them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.data.example import Example
from llm_experts.families.registry import family_named
from llm_experts.training.loop.assignment import Assignment, Fitted, Progress
from llm_experts.training.loop.fit import fit
from llm_experts.training.loop.settings import Settings
from llm_experts.training.sequences.batch import Batch
from llm_experts.training.sequences.lanes import SequenceLanes

FAMILY = "classification"
SAMPLES = 4


@dataclass
class Passes:
    """What was computed, counted where lanes are asked: texts and tokens."""

    texts: int = 0
    generated: int = 0
    prompts: int = 0

    @property
    def all(self) -> int:
        """Passes: a prompt that is read counts like a text, and so does a token that is generated."""
        return self.texts + self.prompts + self.generated


class Counting:
    """Counts the passes of all lanes while it is entered, of training and not of examinations."""

    def __init__(self) -> None:
        self.passes = Passes()
        self._own: dict[str, Any] = {}

    def __enter__(self) -> Passes:
        self._own = {name: getattr(SequenceLanes, name) for name in ("token_logprobs", "sample")}
        own, passes = self._own, self.passes

        def token_logprobs(lanes: SequenceLanes, theta: Tensor, batch: Batch) -> Tensor:
            if torch.is_grad_enabled():
                passes.texts += batch.ids[..., 0].numel()
            found: Tensor = own["token_logprobs"](lanes, theta, batch)
            return found

        def sample(lanes: SequenceLanes, theta: Tensor, prompts: Any, **options: Any) -> Any:
            found = own["sample"](lanes, theta, prompts, **options)
            if options.get("temperature"):
                passes.prompts += sum(map(len, found))
                passes.generated += sum(len(answer.ids) - 1 for lane in found for answer in lane)
            return found

        for name, function in (("token_logprobs", token_logprobs), ("sample", sample)):
            setattr(SequenceLanes, name, function)
        return self.passes

    def __exit__(self, *_: object) -> None:
        for name, function in self._own.items():
            setattr(SequenceLanes, name, function)


def learn(
    base: Base, first: Fitted, told: list[Example], held_out: list[Example], options: dict[str, Any], steps: int,
    folder: Path, seed: int,
) -> tuple[list[tuple[int, float]], float]:  # fmt: skip
    """Passes so far and score at every evaluation, and seconds of CPU."""
    family = family_named(FAMILY)
    every = max(1, steps // 16)
    settings = Settings(
        method="rl", lr=2e-3, steps=steps, evaluate_every=every, patience=99, max_length=128, seed=seed,
        options={"beta": 0.02, **options},
    )  # fmt: skip
    counted: dict[int, int] = {0: 0}
    start = time.process_time()
    with Counting() as passes:

        def progress(at: Progress) -> None:
            counted[at.step] = passes.all

        given = Assignment(
            str(options["estimate"]), told, held_out, settings, family.reward_of, family.longest_answer, first.folder
        )
        (found,) = fit(base, [given], folder=folder, progress=progress)
    curve = [(counted[int(row["step"])], float(row["score"])) for row in found.history]
    return curve, time.process_time() - start


def reached(curve: list[tuple[int, float]], score: float) -> int | None:
    """Passes until a score, None if it was never reached."""
    return next((passes for passes, value in curve if value >= score), None)


def main() -> None:
    """Print both curves and the ratio of passes at the best score that both reach."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=96, help="optimiser steps of the sampled side (default 96)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--base", default="nano")
    given = parser.parse_args()
    torch.set_num_threads(1)
    base, family = load_base(given.base), family_named(FAMILY)
    ratios = []
    for seed in given.seeds:
        few = family.make("train", 32, seed, 0.0)
        told = [replace(example, completion="") for example in family.make("train", 600, seed + 100, 0.0)]
        held_out = list(family.make("validation", 100, 0, 0.0))
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            start = Settings(steps=40, lr=2e-3, max_length=128, seed=seed, evaluate_every=10)
            written = Assignment("first", list(few), held_out, start)  # the likeliest answers: rewards need their mass
            (first,) = fit(base, [written], folder=folder)
            exact, spent = learn(base, first, told, held_out, {"estimate": "exact"}, given.steps, folder, seed)
            rloo = {"estimate": "rloo", "samples": SAMPLES, "longest": family.longest_answer}
            sampled, longer = learn(base, first, told, held_out, rloo, given.steps, folder, seed)
        goal = min(max(score for _, score in exact), max(score for _, score in sampled))
        one, other = reached(exact, goal), reached(sampled, goal)
        assert one is not None and other is not None
        print(f"seed {seed}: score {exact[0][1]:.2f} before; both reach {goal:.2f}", end="")
        print(f" after {one:,} passes (exact) and {other:,} (sampled)", end="")
        print(f"; all steps: best {max(s for _, s in exact):.2f} in {spent:.0f} s, ", end="")
        print(f"best {max(s for _, s in sampled):.2f} in {longer:.0f} s")
        if one:
            ratios.append(other / one)
    if ratios:
        print(f"{min(ratios):.1f} to {max(ratios):.1f} times fewer passes with the exact expected reward")


if __name__ == "__main__":
    main()
