"""How fast the metrics are: ``python -m benchmarks.speed metrics [--million] [--output FILE]``.

Five metrics (accuracy, F1, AUC, DP and equal opportunity gap) of 50 prediction vectors against scikit-learn and
fairlearn, and intervals of 50 models against a bootstrap of rows in NumPy. CPU time, one thread, A B A B, medians.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from fairlearn.metrics import (  # type: ignore[attr-defined]  # re-exported without __all__
    demographic_parity_difference,
    equal_opportunity_difference,
)
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from torch import Tensor

from benchmarks.speed.timing import Ratio, interleaved
from foundation.files import write_json
from metrics.counts.tables import count_table, resample_counts
from metrics.points import count_values, point_values

VECTORS = 50
FIVE = ("acc@1", "f1@1", "auc@1", "dp@1", "eopp@1")


@dataclass(frozen=True)
class Case:
    """Predictions [K, n] of one data set."""

    probability: Tensor
    labels: Tensor
    groups: Tensor


@dataclass(frozen=True)
class Measurement:
    """One line of the table; seconds are for all vectors."""

    what: str
    rows: int
    ours: float
    baseline: float
    ratio: float
    goal: str
    note: str


def make_case(n: int, seed: int = 0) -> Case:
    """Random labels, groups and informative scores of 50 models."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (n,), generator=generator)
    groups = torch.randint(0, 2, (n,), generator=generator)
    margin = torch.randn(VECTORS, n, generator=generator) + labels
    return Case(torch.sigmoid(margin), labels, groups)


def library_values(case: Case, vectors: int) -> list[tuple[float, ...]]:
    """The five metrics of the first vectors, by scikit-learn and fairlearn."""
    y, s = case.labels.numpy(), case.groups.numpy()
    values: list[tuple[float, ...]] = []
    for p in case.probability[:vectors].numpy():
        hard = (p > 0.5).astype(np.int64)
        values.append(
            (
                accuracy_score(y, hard),
                f1_score(y, hard),
                roc_auc_score(y, p),
                demographic_parity_difference(y, hard, sensitive_features=s),
                equal_opportunity_difference(y, hard, sensitive_features=s),
            )
        )
    return values


def measure_points(n: int, vectors: int, rounds: int) -> Measurement:
    """The metric block; the baseline runs on ``vectors`` of the 50 and is scaled to 50."""
    case = make_case(n)
    ours = point_values(case.probability, case.labels, case.groups, 2, metrics=FIVE)
    difference = np.abs(np.array(library_values(case, 1)[0]) - [float(ours[id][0]) for id in FIVE]).max()
    if difference > 1e-6:
        raise AssertionError(f"the two sides differ by {difference:.2g} at n = {n}: there is nothing to compare")
    timing = interleaved(
        lambda: point_values(case.probability, case.labels, case.groups, 2, metrics=FIVE),
        lambda: library_values(case, vectors),
        rounds,
    )
    note = f"baseline: {vectors} of {VECTORS} vectors, scaled by {VECTORS / vectors:g}" if vectors < VECTORS else ""
    return _line("5 metrics x 50 vectors", n, timing, VECTORS / vectors, ">= 500x", note)


def row_bootstrap(case: Case, draws: int, vectors: int) -> NDArray[np.float64]:
    """[draws, vectors, 3] accuracy and both gaps of bootstrap samples, by NumPy on the rows."""
    rng = np.random.default_rng(0)
    hard = case.probability[:vectors].numpy() > 0.5
    y, s = case.labels.numpy(), case.groups.numpy()
    values = np.empty((draws, vectors, 3))
    for draw in range(draws):
        rows = rng.integers(0, len(y), len(y))
        label, group = y[rows], s[rows]
        for k in range(vectors):
            prediction = hard[k][rows]
            selection = [prediction[group == g].mean() for g in (0, 1)]
            recall = [prediction[(group == g) & (label == 1)].mean() for g in (0, 1)]
            values[draw, k] = (
                (prediction == label).mean(),
                abs(selection[0] - selection[1]),
                abs(recall[0] - recall[1]),
            )
    return values


def count_bootstrap(case: Case, draws: int) -> dict[str, Tensor]:
    """All count metrics of bootstrap samples of all vectors, from their count tables."""
    table = count_table(case.probability, case.labels, case.groups, 2)
    return count_values(resample_counts(table, draws, np.random.default_rng(0)), sizes=table[:1, None].sum(-1))


def measure_intervals(n: int, draws: int, part: tuple[int, int], rounds: int) -> Measurement:
    """Bootstrap draws of all count metrics; the baseline makes ``part`` = (draws, vectors) of them and is scaled."""
    case = make_case(n)
    few_draws, few_vectors = part
    timing = interleaved(
        lambda: count_bootstrap(case, draws), lambda: row_bootstrap(case, few_draws, few_vectors), rounds
    )
    scale = draws * VECTORS / (few_draws * few_vectors)
    note = f"baseline: {few_draws} draws x {few_vectors} vectors x 3 metrics, scaled by {scale:g}"
    goal = "<= 0.2 s" if draws == 1000 else "< 1 s"
    return _line(f"{draws:,} draws x 50 vectors", n, timing, scale, goal, note)


def _line(what: str, n: int, timing: Ratio, scale: float, goal: str, note: str) -> Measurement:
    return Measurement(what, n, timing.median_a, timing.median_b * scale, timing.ratio * scale, goal, note)


def measurements(million: bool, rounds: int) -> list[Callable[[], Measurement]]:
    """Every measurement, the slow ones only on request."""
    lines = [
        lambda: measure_points(1_000, VECTORS, rounds),
        lambda: measure_points(20_000, 10, rounds),
        lambda: measure_intervals(1_000, 1_000, (50, 5), rounds),
        lambda: measure_intervals(20_000, 1_000, (20, 5), rounds),
        lambda: measure_intervals(20_000, 10_000, (20, 5), rounds),
    ]
    if million:
        lines += [
            lambda: measure_points(1_000_000, 1, min(rounds, 3)),
            lambda: measure_intervals(1_000_000, 1_000, (3, 2), min(rounds, 3)),
        ]
    return lines


def main() -> None:
    """Measure, print a table, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true", help="also 1,000,000 rows (about five minutes)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds per side (default 3)")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    table = Table("work", "rows", "ours, s", "baseline, s", "ratio", "goal", "note")
    lines = []
    for measure in measurements(arguments.million, arguments.rounds):
        line = measure()
        lines.append(asdict(line))
        numbers = (f"{line.rows:,}", f"{line.ours:.4f}", f"{line.baseline:,.2f}", f"{line.ratio:,.0f}x")
        table.add_row(line.what, *numbers, line.goal, line.note)
    Console(width=160).print(table)
    if arguments.output:
        write_json(arguments.output, {"vectors": VECTORS, "threads": 1, "measurements": lines})
        print(f"Written to {arguments.output}")


if __name__ == "__main__":
    main()
