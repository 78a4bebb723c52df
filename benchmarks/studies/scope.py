"""Adapters of whole texts against adapters of the question alone: test AUC on the same rows, by split.

``python -m benchmarks.studies scope``: both scopes are tuned for utility with the same trials, steps and seeds on
validation rows; the chosen experts answer the test rows once. Prints each scope's AUC with DeLong's interval, and the
mean difference over the splits with an interval from 2,000 paired resamples of each split's test rows. Splits are cut
from the same rows, so that the interval speaks of test rows, not of other data or other trainings.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metrics.auc import auc_value, weighted_auc
from metrics.resample import row_weights

if TYPE_CHECKING:
    from llm_experts.bases.base import Base
    from llm_experts.decoder.layout import Scope

SCOPES: tuple[Scope, Scope] = ("full", "suffix")
DRAWS = 2000


class Answered(NamedTuple):
    """Test rows of a split: probabilities [n], labels [n], CPU seconds of tuning and reading."""

    probability: Tensor
    labels: Tensor
    seconds: float


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    asked = _arguments(argv)
    from llm_experts.bases.load import load_base

    base, found = load_base(asked.base), {}
    for split in range(asked.splits):
        for scope in SCOPES:
            found[split, scope] = _answered(base, scope, split, asked)
            value, seconds = auc_value(*found[split, scope][:2]), found[split, scope].seconds
            print(
                f"{asked.task} split {split}, scope {scope}: AUC {value.estimate:.3f} "
                f"[{value.low:.3f}, {value.high:.3f}], {seconds:.0f} s of CPU",
                flush=True,
            )
    pairs = [(found[split, "full"], found[split, "suffix"]) for split in range(asked.splits)]
    estimate, low, high = mean_difference(pairs, asked.seed)
    print(f"suffix - full, mean of {len(pairs)} splits: {estimate:+.3f} [{low:+.3f}, {high:+.3f}]")


def mean_difference(pairs: Sequence[tuple[Answered, Answered]], seed: int) -> tuple[float, float, float]:
    """AUC of the second minus that of the first, mean over pairs on the same rows, and its 95 % percentile interval."""
    generator, estimates, draws = np.random.default_rng(seed), [], []
    for first, second in pairs:
        rows = len(first.labels)
        weights = torch.cat([torch.ones(1, rows), row_weights(rows, DRAWS, generator)])
        areas = [weighted_auc(answered.probability, answered.labels, weights) for answered in (first, second)]
        estimates.append(float(areas[1][0] - areas[0][0]))
        draws.append((areas[1] - areas[0])[1:])
    low, high = torch.quantile(torch.stack(draws).mean(0), torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return float(np.mean(estimates)), low, high


def _answered(base: Base, scope: Scope, split: int, asked: argparse.Namespace) -> Answered:
    from llm_experts.reading.reader import Reader
    from llm_experts.training.text_blocks import TaskTexts
    from llm_experts.training.trainer import Budget
    from llm_experts.training.tuning import tune
    from tasks.load import load_task

    begun = time.process_time()
    task = load_task(asked.task, split=split, seed=asked.seed)
    view, rows = task.view(), task.split.test
    texts = TaskTexts(view, Reader(base, asked.template, asked.start, scope=scope))
    budget = Budget(steps=asked.steps, warm_up=max(1, asked.steps // 12), final_rows=0)
    with tempfile.TemporaryDirectory() as folder:
        tuned = tune(
            texts, "utility", seed=asked.seed, folder=Path(folder), kind=asked.kind, budget=budget, trials=asked.trials,
            batch=asked.trials,
        )  # fmt: skip
    probability = torch.sigmoid(tuned.expert.logits(view, rows).double())
    return Answered(probability, task.labels[rows], time.process_time() - begun)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies scope", description=__doc__)
    parser.add_argument("--task", default="german")
    parser.add_argument("--base", default="nano")
    parser.add_argument("--kind", default="lora")
    parser.add_argument("--template", default="sentence")
    parser.add_argument("--start", type=int, default=-1, help="first layer that adapters change")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--steps", type=int, default=144)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
