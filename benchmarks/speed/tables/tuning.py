"""Tuning beside its training: what bookkeeping costs, and what asking in batches loses against asking one by one.

Run with ``python -m benchmarks.speed tuning``. Goals: at most 6 ms of bookkeeping per trial and at most a tenth of
tuning time; the best value of batched TPE within 0.003 of sequential TPE's over at least 20 studies.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import optuna
import torch
from optuna.distributions import BaseDistribution
from torch import Tensor

from experts.networks.trainer import Budget, LaneConfig, train_lanes
from experts.tuning.networks import tune
from experts.tuning.sampler import batch_sampler
from experts.tuning.search_space import search_space
from foundation.seeding import derive_seed, numpy_generator
from tasks.load import load_task
from tasks.task import TaskView

Objective = Callable[[Mapping[str, float]], float]
STUDIES = 24
TRIALS = 50
BATCHES = (15, 16)
SPACE = search_space("result", "wide")
ASKED: dict[str, BaseDistribution] = {**SPACE}


@dataclass(frozen=True)
class Bookkeeping:
    """CPU time of a tuned role that is not training."""

    per_trial_ms: float
    share: float


@dataclass(frozen=True)
class Difference:
    """Best value of batched minus sequential TPE over paired studies (same seeds); below 0: batches were better."""

    mean: float
    standard_error: float
    sequential: float
    random: float


def bookkeeping(view: TaskView, trials: int = 30, batch: int = 15, repeats: int = 3) -> Bookkeeping:
    """Median over repeats of (CPU time of ``tune`` − CPU time of ``train_lanes``), per trial and as a share.

    Asking, telling, batch files, the journal and the result files are all in it; waiting for the disk is not.
    """
    costs = [_one_tuning(view, trials, batch, seed) for seed in range(repeats)]
    per_trial = statistics.median((whole - training) / trials * 1e3 for whole, training in costs)
    return Bookkeeping(per_trial, statistics.median(1 - training / whole for whole, training in costs))


def _one_tuning(view: TaskView, trials: int, batch: int, seed: int) -> tuple[float, float]:
    spent = 0.0

    def timed(*arguments: Any, **keywords: Any) -> Any:
        nonlocal spent
        start = time.process_time()
        result = train_lanes(*arguments, **keywords)
        spent += time.process_time() - start
        return result

    settings: dict[str, Any] = {"trials": trials, "batch": batch, "budget": Budget(), "utility_floor": 0.5}
    with tempfile.TemporaryDirectory() as folder, patch("experts.tuning.networks.train_lanes", timed):
        start = time.process_time()
        tune(view, "result", seed=seed, folder=Path(folder), **settings)
        return time.process_time() - start, spent


def best_value(objective: Objective, seed: int, batch: int, startup: int, trials: int = TRIALS) -> float:
    """Smallest value that a study of ``trials`` finds when it asks ``batch`` trials at a time."""
    study = optuna.create_study(direction="minimize", sampler=batch_sampler(seed, startup))
    while len(study.trials) < trials:
        asked = [study.ask(ASKED) for _ in range(min(batch, trials - len(study.trials)))]
        for trial in asked:
            study.tell(trial, objective(trial.params))
    return float(study.best_value)


def batched_against_sequential(objective: Objective, batch: int, studies: int = STUDIES) -> Difference:
    """Paired comparison; both sides draw their first ``batch`` trials at random."""
    seeds = [derive_seed(0, "study", index) for index in range(studies)]
    sequential = [best_value(objective, seed, 1, batch) for seed in seeds]
    batched = [best_value(objective, seed, batch, batch) for seed in seeds]
    random = [best_value(objective, seed, TRIALS, TRIALS) for seed in seeds]
    differences = [b - s for b, s in zip(batched, sequential, strict=True)]
    error = statistics.stdev(differences) / math.sqrt(studies)
    return Difference(statistics.fmean(differences), error, statistics.fmean(sequential), statistics.fmean(random))


def _unit(params: Mapping[str, float]) -> list[float]:
    """Parameters in [0, 1] on their log scale."""
    return [math.log(params[k] / d.low) / math.log(d.high / d.low) for k, d in SPACE.items()]


def valley(params: Mapping[str, float]) -> float:
    """A smooth bowl with one curved direction, minimum 0 inside the space."""
    a, b, c, d = _unit(params)
    return (a - 0.6) ** 2 + 0.1 * (b - 0.3) ** 2 + (c - a**2) ** 2 + 0.5 * (d - 0.7) ** 2


def table_of(view: TaskView, rows: int = 600) -> Objective:
    """Trained lanes as a table: a proposal's value is fair_res@1 − utility@1 of the nearest trained configuration."""
    generator = numpy_generator(0, "table")
    points = generator.random((rows, len(SPACE)))
    configs = [_config(dict(zip(SPACE, point, strict=True)), index) for index, point in enumerate(points.tolist())]
    budget = Budget(steps=400, eval_every=100, warm_up=100, rungs=())
    lanes = train_lanes(view, "result", configs, budget, seed=0)
    utility = torch.tensor([metrics["utility@1"] for metrics in lanes.metrics])
    value = (torch.tensor(lanes.objective) - utility).nan_to_num(nan=1.0)
    grid: Tensor = torch.as_tensor(points)

    def objective(params: Mapping[str, float]) -> float:
        distance = (grid - torch.tensor(_unit(params), dtype=torch.float64)).square().sum(1)
        return float(value[distance.argmin()])

    return objective


def _config(unit: Mapping[str, float], index: int) -> LaneConfig:
    params = {k: d.low * (d.high / d.low) ** unit[k] for k, d in SPACE.items()}
    lambdas = {key: value for key, value in params.items() if key.startswith("lambda_")}
    return LaneConfig(params["lr"], params["weight_decay"], lambdas, derive_seed(0, "lane", index))


def main() -> None:
    """Print both comparisons."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    view = load_task("german").view()
    cost = bookkeeping(view)
    print(f"bookkeeping: {cost.per_trial_ms:.2f} ms per trial, {cost.share:.1%} of tuning time (goals: 6 ms, 10 %)")
    for name, objective in {"valley": valley, "german table": table_of(view)}.items():
        for batch in BATCHES:
            d = batched_against_sequential(objective, batch)
            print(
                f"{name}, batch {batch}, {STUDIES} studies of {TRIALS} trials: batched − sequential "
                f"{d.mean:+.4f} ± {d.standard_error:.4f} (sequential {d.sequential:.4f}, random {d.random:.4f})"
            )


if __name__ == "__main__":
    main()
