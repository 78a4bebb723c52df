"""Tuning of baselines: validation rows choose, by the rule of the expert roles, and what fails is on record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.distributions import FloatDistribution
from torch import Tensor

from benchmarks.methods.baseline import Baseline
from benchmarks.methods.baseline_tuning import tune_baseline
from benchmarks.run.time_limit import MethodTimeoutError
from experts.tuning.trials import TuningError
from tasks.load import load_task
from tasks.task import HIDDEN, TaskView


@dataclass(frozen=True)
class Leaning:
    """A known margin that leans towards one group by ``bias``: the gap grows with it, the utility falls."""

    bias: float
    truth: Tensor
    role: str = "baseline"
    family: str = "made-up"
    explainer: str = "none"

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        return self.truth[rows] + self.bias * (task.groups[rows] == 0)

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        return torch.zeros(len(rows), len(task.columns))

    def save(self, folder: Path) -> None:
        raise NotImplementedError


@pytest.fixture(scope="module")
def view() -> TaskView:
    return load_task("scm").view()


def made_up(view: TaskView, *, fair: bool = False, broken: Any = None, **more: Any) -> Baseline:
    generator = torch.Generator().manual_seed(0)
    truth = view.labels * 2.0 - 1.0 + torch.randn(len(view.labels), generator=generator)

    def fit(view: TaskView, params: Mapping[str, Any], seed: int) -> Leaning:
        assert bool((view.labels[view.split.test] == HIDDEN).all())
        if broken is not None and params["bias"] > 1:
            raise broken
        return Leaning(params.get("bias", 0.0), truth)

    space = {"bias": FloatDistribution(0.0, 4.0)}
    return Baseline("Made-up", "leans", "made-up", "nobody", fit, space=lambda: space, fair=fair, **more)


def test_a_plain_method_gets_the_trial_of_the_highest_validation_utility(view: TaskView) -> None:
    found = tune_baseline(made_up(view), view, seed=0, trials=12, floor=0.99)
    utility = [row["metrics"]["utility@1"] for row in found.trials]
    assert len(found.trials) == len(found.experts) == 12
    assert found.best_trial == utility.index(max(utility))
    assert found.expert is found.experts[found.best_trial]


def test_a_fairness_method_gets_the_smallest_gap_above_the_floor(view: TaskView) -> None:
    floor = 0.75
    found = tune_baseline(made_up(view, fair=True), view, seed=0, trials=12, floor=floor)
    able = [row for row in found.trials if row["metrics"]["utility@1"] >= floor]
    assert 0 < len(able) < 12 and found.feasible
    assert found.trials[found.best_trial]["objective"] == min(row["metrics"]["fair_res@1"] for row in able)


def test_when_none_reaches_the_floor_its_own_best_utility_sets_one_and_it_is_said(view: TaskView) -> None:
    found = tune_baseline(made_up(view, fair=True), view, seed=0, trials=12, floor=1.1, epsilon=0.05)
    best = max(row["metrics"]["utility@1"] for row in found.trials)
    able = [row for row in found.trials if row["metrics"]["utility@1"] >= best - 0.05]
    assert 1 < len(able) < 12
    assert found.trials[found.best_trial]["objective"] == min(row["metrics"]["fair_res@1"] for row in able)
    assert not found.feasible and "own highest utility" in found.note


def test_a_trial_that_fails_is_on_record_and_the_others_go_on(view: TaskView) -> None:
    found = tune_baseline(made_up(view, broken=ValueError("no luck")), view, seed=0, trials=12, floor=0.5)
    failed = [row["number"] for row in found.trials if row["state"] == "FAIL"]
    assert failed and all("no luck" in found.trials[n]["reason"] and found.experts[n] is None for n in failed)
    assert found.best_trial not in failed


def test_nan_predictions_are_failed_trials(view: TaskView) -> None:
    method = made_up(view)

    def nowhere(view: TaskView, params: Mapping[str, Any], seed: int) -> Leaning:
        return Leaning(float("nan"), torch.zeros(len(view.labels)))

    broken = Baseline("Nan", "nan", "made-up", "nobody", nowhere, space=method.space)
    with pytest.raises(TuningError, match="not estimable"):
        tune_baseline(broken, view, seed=0, trials=3, floor=0.5)


def test_a_time_limit_ends_the_whole_tuning(view: TaskView) -> None:
    with pytest.raises(MethodTimeoutError):
        tune_baseline(made_up(view, broken=MethodTimeoutError("late")), view, seed=0, trials=12, floor=0.5)


def test_the_seed_decides_the_trials(view: TaskView) -> None:
    def proposals(seed: int) -> list[float]:
        return [t["params"]["bias"] for t in tune_baseline(made_up(view), view, seed=seed, trials=4, floor=0).trials]

    assert proposals(1) == proposals(1) != proposals(2)


def test_published_settings_are_fitted_once_and_what_has_none_is_tuned(view: TaskView) -> None:
    stated = made_up(view, published=lambda name: {"bias": len(name)})
    found = tune_baseline(stated, view, seed=0, trials=4, floor=0, published=True)
    assert (found.params, found.trials) == ({"bias": len("scm")}, [])
    assert len(tune_baseline(made_up(view), view, seed=0, trials=4, floor=0, published=True).trials) == 4
