from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from experts.networks.batches import TrainingRows
from experts.networks.integrated_gradients import column_indicator
from experts.networks.lanes import LaneParameters
from experts.networks.mlp import MLPExpert
from gates.dense import DenseGate, initial_tensors
from gates.objective import attribution_gap
from gates.uniform import UniformGate
from moe.finetune import FineTuneConfig, fine_tune, mixture_loss
from moe.mixture import Mixture
from tests.asked import sorted_by_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.task import TaskView


def networks(view: TaskView, features: int = 5) -> tuple[MLPExpert, ...]:
    roles = ("utility", "result", "procedural")
    return tuple(
        MLPExpert(role, LaneParameters.initial(features, 8, [seed]), view.feature_names, view.hash)
        for seed, role in enumerate(roles)
    )


def dense() -> DenseGate:
    tensors = initial_tensors(5, 3, 8, torch.full((3,), 1 / 3), torch.Generator().manual_seed(4))
    return DenseGate(**tensors, visible=torch.ones(5), temperature=torch.tensor(1.0))


def numbers(mixture: Mixture) -> Tensor:
    gate = [t.flatten() for t in mixture.gate.trainable().values()] if isinstance(mixture.gate, DenseGate) else []
    return torch.cat([*(e.parameters.theta.flatten() for e in mixture.experts if isinstance(e, MLPExpert)), *gate])


def test_an_untrained_system_improves_and_is_kept(view: TaskView) -> None:
    mixture = Mixture(networks(view), dense())
    original = numbers(mixture).clone()
    config = FineTuneConfig(learning_rate=0.03, lambda_fair=0.1, lambda_attention=0.0, steps=60, evaluate_every=20)
    result = fine_tune(view, mixture, [config], seed=0, utility_floor=0.0)
    assert result.kept
    assert result.config == config
    assert result.after.final > result.before.final + 0.1
    assert [row["step"] for row in result.history] == [20, 40, 60]
    assert torch.equal(numbers(mixture), original)


@pytest.mark.parametrize("floor", [0.0, 0.7, 2.0])
@pytest.mark.parametrize("learning_rate", [0.003, 1.0])
def test_the_result_is_never_worse_under_the_rule(view: TaskView, floor: float, learning_rate: float) -> None:
    config = FineTuneConfig(learning_rate=learning_rate, steps=20, evaluate_every=5)
    result = fine_tune(view, Mixture(networks(view), dense()), [config], seed=1, utility_floor=floor)
    assert not result.before.better_than(result.after, floor)
    assert result.kept == result.after.better_than(result.before, floor)


def test_a_rejected_run_gives_the_mixture_back(view: TaskView) -> None:
    mixture = Mixture(networks(view), dense())
    config = FineTuneConfig(steps=5, evaluate_every=5)
    worse = iter([0.0, 5.0])
    result = fine_tune(view, mixture, [config], seed=0, utility_floor=0.0, procedural=lambda _: next(worse))
    assert not result.kept
    assert result.mixture is mixture
    assert result.after == result.before


def test_a_snapshot_holds_the_gate_and_the_experts_of_the_same_step(view: TaskView) -> None:
    """The kept score is the score of the kept system, not of later weights."""
    config = FineTuneConfig(learning_rate=0.05, steps=40, evaluate_every=5)
    seen: dict[bytes, float] = {}

    def procedural(mixture: Mixture) -> float:
        value = 0.0 if len(seen) == 3 else 0.5
        seen[numbers(mixture).numpy().tobytes()] = value
        return value

    result = fine_tune(
        view, Mixture(networks(view), dense()), [config], seed=0, utility_floor=0.0, procedural=procedural
    )
    assert result.after.fair_proc == 0.0
    assert seen[numbers(result.mixture).numpy().tobytes()] == 0.0


def test_experts_and_gate_both_move(view: TaskView) -> None:
    before = Mixture(networks(view), dense())
    config = FineTuneConfig(learning_rate=0.03, lambda_attention=0.0, steps=20, evaluate_every=20)
    after = fine_tune(view, before, [config], seed=0, utility_floor=0.0).mixture
    experts = sum(e.parameters.theta.numel() for e in networks(view))
    moved = numbers(before) != numbers(after)
    assert bool(moved[:experts].any())
    assert bool(moved[experts:].any())


def test_a_gate_without_parameters_stays(view: TaskView) -> None:
    gate = UniformGate(3)
    config = FineTuneConfig(learning_rate=0.03, steps=20, evaluate_every=20)
    result = fine_tune(view, Mixture(networks(view), gate), [config], seed=0, utility_floor=0.0)
    assert result.kept
    assert result.mixture.gate is gate


@pytest.mark.parametrize("name", ["lambda_fair", "lambda_attention", "balance"])
def test_every_weight_changes_the_gradient_of_experts_and_gate(view: TaskView, name: str) -> None:
    batch = TrainingRows(view, 1024, None, 0, 64).next()
    off = {"lambda_fair": 0.0, "lambda_attention": 0.0, "balance": 0.0}
    mixture = Mixture(networks(view), dense())

    def gradients(config: FineTuneConfig) -> tuple[Tensor, ...]:
        thetas = [e.parameters.theta.clone().requires_grad_() for e in networks(view)]
        leaves = {k: t.clone().requires_grad_() for k, t in dense().trainable().items()}
        nets = [LaneParameters(theta, 5, 8) for theta in thetas]
        loss = mixture_loss(nets, dense().replace(**leaves), batch, column_indicator(view.column_of_feature, 5), config)
        return torch.autograd.grad(loss, [*thetas, *leaves.values()])

    plain = gradients(FineTuneConfig(**off))
    with_term = gradients(FineTuneConfig(**{**off, name: 1.0}))
    changed = [not torch.equal(a, b) for a, b in zip(plain, with_term, strict=True)]
    assert all(bool(g.isfinite().all()) for g in with_term)
    assert any(changed[: len(mixture.experts)])
    assert any(changed[len(mixture.experts) :])


def test_the_seed_decides(view: TaskView, make_view: Callable[..., TaskView]) -> None:
    g = torch.Generator().manual_seed(0)
    big = make_view(torch.randn(6000, 5, generator=g), *(torch.randint(0, 2, (6000,), generator=g) for _ in range(2)))
    config = FineTuneConfig(steps=4, batch=128, evaluate_every=4)

    def history(seed: int) -> str:
        return str(fine_tune(big, Mixture(networks(big), dense()), [config], seed=seed, utility_floor=0.0).history)

    assert history(1) == history(1)
    assert history(1) != history(2)


def test_other_families_are_refused(view: TaskView) -> None:
    inner = Mixture(networks(view), dense())
    with pytest.raises(ValueError, match="family mixture cannot be fine-tuned"):
        fine_tune(view, Mixture((inner, *networks(view)[1:]), dense()), seed=0, utility_floor=0.0)


def test_reasons_are_compared_on_a_sample_of_the_validation_rows() -> None:
    """The first rows are all of class 0, where the groups are explained alike; in class 1 they are not."""
    view = sorted_by_class(16_000)
    second = view.features[:, 1].clone()
    view.features[:, 1] = torch.where((view.labels == 1) & (view.groups == 1), 8.0 * second, second)
    mixture = Mixture(networks(view, 3), UniformGate(3))
    rows = view.split.validation
    every, first = (
        float(attribution_gap(mixture.attributions(view, part), view.groups[part], 2)) for part in (rows, rows[:1024])
    )
    assert every > 10 * first  # the rows at hand tell the two apart
    config = FineTuneConfig(learning_rate=1e-6, lambda_attention=0.0, steps=1, evaluate_every=1)
    before = fine_tune(view, mixture, [config], seed=0, utility_floor=0.0).before
    assert before.fair_proc == pytest.approx(every, rel=0.3)
