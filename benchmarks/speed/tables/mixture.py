"""Parts of the mixture beside what one would write or call instead.

Run with ``python -m benchmarks.speed mixture``. One thread, sides interleaved, medians of CPU time, on a large task
(3,000 + 1,500 rows). Goals: the library's members of all families on five folds ≤ 8 s; greedy selection of 60 members
≤ .1 s; thresholds for six limits at 7,500 rows ≤ .15 s.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from torch import Tensor

from benchmarks.run.stages.members import member_trials
from benchmarks.speed.timing import interleaved, seconds
from experts.bagging import Bag, bag_folds
from experts.families.registry import family_named
from experts.networks.trainer import Budget
from foundation.seeding import numpy_generator
from gates.greedy import greedy_weights
from metrics.expected_labels import expected_labels
from metrics.thresholds import FINE_RATES, FINE_STEPS, fit_thresholds
from tasks.load import load_task
from tasks.task import TaskView

FAMILIES = ("gbdt", "linear", "mlp", "ple_mlp")
LIMITS = (0.01, 0.02, 0.05, 0.1, 0.2, float("inf"))
BUDGET = Budget(steps=400, warm_up=80, rungs=(0.15, 0.3, 0.6))


def planted(rows: int, members: int) -> tuple[Tensor, Tensor, Tensor]:
    """Labels and groups [n] and margins [n, m] of members that are right more often than not."""
    random = numpy_generator(0, "planted")
    labels, groups = random.integers(0, 2, rows), random.integers(0, 2, rows)
    margins = (2 * labels - 1)[:, None] * random.uniform(0.2, 1.5, members) + random.standard_normal((rows, members))
    return torch.from_numpy(labels), torch.from_numpy(groups), torch.from_numpy(margins)


def one_by_one(probability: Tensor, steps: int = 25) -> list[int]:
    """One bag of greedy selection as it is mostly written: scikit-learn's log loss of every candidate at every step."""
    p = probability.numpy().astype(np.float64)
    truth, chosen, total = np.ones(len(p), dtype=int), list[int](), np.zeros(len(p))
    for step in range(1, steps + 1):
        losses = [log_loss(truth, (total + p[:, k]) / step, labels=[0, 1]) for k in range(p.shape[1])]
        chosen.append(int(np.argmin(losses)))
        total += p[:, chosen[-1]]
    return chosen


def greedy(rows: int = 4500, members: int = 60) -> None:
    """Print greedy selection with 30 bags beside one bag one by one."""
    labels, _, margins = planted(rows, members)
    truth = torch.sigmoid(torch.where(labels[:, None] == 1, margins, -margins)).float()
    found = interleaved(partial(greedy_weights, truth, 0), partial(one_by_one, truth[: rows // 2]), 3)
    print(
        f"greedy selection, {members} members, {rows} rows, 30 bags: {found.median_a:.3f} s (goal .1), "
        f"{30 * found.ratio:.0f} times faster than as many bags one by one",
        flush=True,
    )


def thresholds(rows: int = 7500) -> None:
    """Print thresholds from expected labels for six limits beside fairlearn's optimiser for one constraint."""
    labels, groups, margins = planted(rows, 1)
    probability = torch.sigmoid(margins[:, 0])

    def ours() -> None:
        expected = expected_labels(margins[:, 0], labels, groups, 2)
        fit_thresholds(probability, labels, groups, 2, LIMITS, expected=expected, rates=FINE_RATES, steps=FINE_STEPS)

    model: Any = LogisticRegression()  # type: ignore[no-untyped-call]
    model.fit(margins.numpy(), labels.numpy())

    def theirs() -> None:
        optimiser: Any = ThresholdOptimizer(estimator=model, constraints="equalized_odds", prefit=True)
        optimiser.fit(margins.numpy(), labels.numpy(), sensitive_features=groups.numpy())

    found = interleaved(ours, theirs, 5)
    print(
        f"thresholds, {rows} rows, six limits: {found.median_a:.3f} s (goal .15); fairlearn's ThresholdOptimizer, "
        f"one constraint: {found.median_b:.3f} s",
        flush=True,
    )


def bags_of(view: TaskView, family: str, fold: Tensor, folder: Path) -> tuple[float, Sequence[Bag]]:
    """CPU seconds of bagging the utility members of a family, and the bags; tuning is not counted."""
    tuner = family_named(family).tuner()
    tuned = tuner.tune(
        view, "utility", seeds=[0], folder=folder, budget=BUDGET, trials=10, batch=10, space="wide",
        utility_floor=None, epsilon=None, layers=1,
    )[0]  # fmt: skip
    found = list[Bag]()
    spent = seconds(lambda: found.extend(tuner.bag(view, tuned, member_trials(tuned), budget=BUDGET, fold=fold)))
    return spent, found


def library(task: str = "adult:sex") -> None:
    """Print what the members of a library cost on five folds."""
    view = load_task(task, protocol="large_test", split=100).view()
    fold = bag_folds(view, 5, 0)
    with tempfile.TemporaryDirectory() as folder:
        spent = {family: bags_of(view, family, fold, Path(folder)) for family in FAMILIES}
    words = ", ".join(f"{family} {cost:.1f} s ({len(bags)} members)" for family, (cost, bags) in spent.items())
    print(f"library, {task}: {sum(cost for cost, _ in spent.values()):.1f} s (goal 8): {words}", flush=True)


def main() -> None:
    """Print every comparison."""
    torch.set_num_threads(1)
    greedy()
    thresholds()
    library()


if __name__ == "__main__":
    main()
