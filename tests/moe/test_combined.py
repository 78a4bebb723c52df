from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from experts.networks.mlp import MLPExpert
from experts.networks.trainer import Budget, LaneConfig, LaneResult, train_lanes
from experts.scores import FINAL
from experts.tuning.networks import tune
from experts.tuning.search_space import ranges

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.task import TaskView

NAMES = ("lambda_rep", "lambda_fair", "lambda_attention", "lambda_adv")
BUDGET = Budget(steps=40, eval_every=20, warm_up=0, hidden=6, rungs=(), dropout=0.0)


def train(view: TaskView, *weights: dict[str, float], floor: float | None = None) -> LaneResult:
    configs = [LaneConfig(0.01, 0.0, lambdas, 7) for lambdas in weights]
    return train_lanes(view, "combined", configs, BUDGET, seed=1, utility_floor=floor)


def test_every_weight_moves_the_network(view: TaskView) -> None:
    theta = train(view, {}, *({name: 1.0} for name in NAMES)).parameters.theta
    assert not any(torch.equal(theta[0], theta[lane]) for lane in range(1, len(theta)))


def test_without_weights_it_is_the_utility_expert(view: TaskView) -> None:
    plain = train_lanes(view, "utility", [LaneConfig(0.01, 0.0, {}, 7)], BUDGET, seed=1)
    combined = train(view, dict.fromkeys(NAMES, 0.0))
    last = next(row for row in combined.history if row["step"] == 40)
    reference = next(row for row in plain.history if row["step"] == 40)
    assert last["utility@1"] == reference["utility@1"]
    assert last["dp@1"] == reference["dp@1"]


def test_its_checkpoint_is_the_one_with_the_best_final_score(view: TaskView) -> None:
    result = train(view, dict.fromkeys(NAMES, 0.5), floor=0.0)
    assert result.objective[0] == max(row[FINAL] for row in result.history)
    chosen = result.metrics[0]
    assert chosen[FINAL] == pytest.approx(chosen["utility@1"] - chosen["fair_res@1"] - chosen["fair_proc@1"])


def test_its_space_has_the_weights_of_both_fair_roles() -> None:
    assert set(NAMES) < set(ranges("combined", "wide"))
    assert ranges("combined")["lambda_fair"] == ranges("result")["lambda_fair"]


def test_it_is_tuned_like_the_other_roles(view: TaskView, tmp_path: Path) -> None:
    tuning = tune(
        view, "combined", seed=3, folder=tmp_path, budget=BUDGET, trials=4, batch=4, space="wide", utility_floor=0.0
    )
    feasible = [row for row in tuning.trials if row["feasible"]]
    assert tuning.best_score == max(row["objective"] for row in feasible)
    assert set(NAMES) < set(tuning.best_params)
    assert MLPExpert.load(tmp_path / f"{view.name}_combined_best").role == "combined"
