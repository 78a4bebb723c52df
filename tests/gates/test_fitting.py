from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from gates.fitting import fit_gate
from gates.gate import GateState
from gates.mixing import mixture_margin
from gates.settings import GateBudget, GateConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.task import TaskView

BUDGET = GateBudget(steps=200, batch=512, evaluate_every=50)
CONFIGS = [GateConfig(lambda_fair=0.0, learning_rate=0.03), GateConfig(lambda_fair=0.3, learning_rate=0.03)]


@pytest.fixture
def planted(make_view: Callable[..., TaskView]) -> tuple[TaskView, Tensor]:
    """Expert 0 knows the label where x0 > 0 and guesses elsewhere, expert 1 the other way round, expert 2 guesses."""
    g = torch.Generator().manual_seed(0)
    features = torch.randn(1600, 4, generator=g)
    labels, groups = (torch.randint(0, 2, (1600,), generator=g) for _ in range(2))
    truth, guess = 2.0 * (2 * labels - 1)[:, None], torch.randn(1600, 3, generator=g) * 2
    right = torch.stack((features[:, 0] > 0, features[:, 0] <= 0, torch.zeros(1600, dtype=torch.bool)), 1)
    return make_view(features, labels, groups), torch.where(right, truth + guess / 4, guess)


def split(view: TaskView, logits: Tensor) -> dict[str, Tensor]:
    return {"logits_oof": logits[view.split.train], "logits_validation": logits[view.split.validation]}


@pytest.mark.parametrize("name", ["dense", "topk"])
def test_a_trained_gate_routes_to_the_expert_that_is_right(planted: tuple[TaskView, Tensor], name: str) -> None:
    view, logits = planted
    fit = fit_gate(view, name=name, configs=CONFIGS, seed=1, utility_floor=0.0, budget=BUDGET, **split(view, logits))
    test = view.split.test
    weights = fit.gate.weights(GateState(view.features[test], logits[test]))
    right = view.features[test, 0] > 0
    assert weights[right, 0].mean() > 0.7
    assert weights[~right, 1].mean() > 0.7

    def accuracy(margin: Tensor) -> float:
        return float(((margin > 0) == (view.labels[test] == 1)).float().mean())

    singles = [accuracy(logits[test, k]) for k in range(3)]
    assert accuracy(mixture_margin(weights, logits[test])) > max(singles) + 0.1


def test_trained_gates_are_never_worse_on_validation_than_the_static_simplex(
    planted: tuple[TaskView, Tensor],
) -> None:
    view, logits = planted
    finals = {
        name: fit_gate(
            view, name=name, configs=CONFIGS, seed=1, utility_floor=0.0, budget=BUDGET, **split(view, logits)
        ).score.final
        for name in ("dense", "static_simplex", "best_single", "uniform")
    }
    assert finals["dense"] > finals["static_simplex"] >= max(finals["best_single"], finals["uniform"]) - 0.02


def test_training_depends_on_the_seed_alone(planted: tuple[TaskView, Tensor]) -> None:
    view, logits = planted
    budget = GateBudget(steps=20, batch=256, evaluate_every=20)

    def history(seed: int) -> str:
        stored = split(view, logits)
        return str(
            fit_gate(view, name="topk", configs=CONFIGS, seed=seed, utility_floor=0, budget=budget, **stored).history
        )

    torch.manual_seed(0)
    first = history(1)
    torch.manual_seed(1)
    assert first == history(1)
    assert first != history(2)


@pytest.mark.parametrize(
    "name", ["lambda_fair", "lambda_attention", "balance", "decision", "temperature", "learning_rate"]
)
def test_every_setting_changes_the_gate(planted: tuple[TaskView, Tensor], name: str) -> None:
    view, logits = planted
    attributions = torch.randn(1600, 3, 4, generator=torch.Generator().manual_seed(3))
    stored = split(view, logits) | {"attributions_train": attributions[view.split.train]}
    budget = GateBudget(steps=10, batch=256, evaluate_every=5)
    lanes = [GateConfig(), GateConfig(**{name: 3.0})]
    fit = fit_gate(view, name="dense", configs=lanes, seed=1, utility_floor=0.0, budget=budget, **stored)
    last = [row["utility"] for row in fit.history if row["step"] == 10]
    fair = [row["fair_res"] for row in fit.history if row["step"] == 10]
    assert (last[0], fair[0]) != (last[1], fair[1])


def test_the_costlier_procedural_score_decides_among_the_finalists(planted: tuple[TaskView, Tensor]) -> None:
    view, logits = planted
    calls: list[float] = []

    def procedural(gate: object) -> float:
        calls.append(0.1 * (len(calls) + 1))
        return calls[-1]

    stored = split(view, logits)
    fit = fit_gate(
        view, name="dense", configs=CONFIGS, seed=1, utility_floor=0.0, budget=BUDGET, procedural=procedural, **stored
    )
    assert len(calls) == len(CONFIGS)
    assert fit.score.fair_proc in calls


def test_a_hidden_sensitive_column_does_not_steer_the_gate(make_view: Callable[..., TaskView]) -> None:
    g = torch.Generator().manual_seed(0)
    features, labels = torch.randn(400, 3, generator=g), torch.randint(0, 2, (400,), generator=g)
    view = make_view(features, labels, (features[:, 1] > 0).long(), sensitive=1)
    logits = torch.randn(400, 2, generator=g)
    budget = GateBudget(steps=10, evaluate_every=10)
    fit = fit_gate(
        view, name="dense", seed=0, utility_floor=0.0, configs=CONFIGS, budget=budget, hide_sensitive=True,
        **split(view, logits),
    )  # fmt: skip
    shifted = features + torch.tensor([0.0, 9.0, 0.0])
    assert torch.equal(fit.gate.weights(GateState(features, logits)), fit.gate.weights(GateState(shifted, logits)))


def test_mistakes_are_named(planted: tuple[TaskView, Tensor]) -> None:
    view, logits = planted
    stored = split(view, logits)
    with pytest.raises(ValueError, match="no gate 'oracle'"):
        fit_gate(view, name="oracle", seed=0, utility_floor=0.0, **stored)
    with pytest.raises(ValueError, match="needs the experts' attributions"):
        fit_gate(view, name="dense", seed=0, utility_floor=0.0, **stored)
    with pytest.raises(ValueError, match="in the order of the split"):
        fit_gate(view, logits[:7], "dense", seed=0, utility_floor=0.0, logits_validation=stored["logits_validation"])
