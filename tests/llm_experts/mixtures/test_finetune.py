"""Adapters and gate train together, and the caller's rule alone decides what is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gates.dense import DenseGate, initial_tensors
from gates.gate import GateState, ProjectedGate
from gates.mixing import mixture_margin
from gates.uniform import UniformGate
from llm_experts.adapters.error import AdapterError
from llm_experts.mixtures.finetune import FineTuneConfig, FineTuning, fine_tune, flat_numbers
from llm_experts.reading.expert import LLMExpert, base_expert
from llm_experts.training.text_blocks import TaskTexts
from llm_experts.training.trainer import Budget, LaneConfig, train_lanes
from metrics.points import point_values
from tests.llm_experts.lane_fixtures import make_texts

FEW = (FineTuneConfig(learning_rate=3e-3, gate_learning_rate=1e-2, steps=8, batch_rows=32, evaluate_every=4),)


@pytest.fixture(scope="module")
def texts() -> TaskTexts:
    return make_texts(200)


@pytest.fixture(scope="module")
def experts(texts: TaskTexts) -> tuple[LLMExpert, ...]:
    budget = Budget(steps=10, eval_every=10, warm_up=2, batch_rows=32, rungs=(), final_rows=0)
    lanes = [LaneConfig(3e-3, 0.0, rank, {}, seed) for seed, rank in enumerate((4, 8, 4))]
    result = train_lanes(texts, "utility", lanes, budget, seed=0)
    facts = zip(result.calibration.temperature.tolist(), result.calibration.bias.tolist(), strict=True)
    return tuple(LLMExpert("utility", texts.reader, result.adapter(k), t, b) for k, (t, b) in enumerate(facts))


def gate_of(texts: TaskTexts, m: int = 3) -> DenseGate:
    d = texts.view.features.shape[1]
    start = initial_tensors(d, m, 4, torch.full((m,), 1 / m), torch.Generator().manual_seed(0))
    return DenseGate(torch.ones(d), **start, temperature=torch.tensor(1.0))


def margin(texts: TaskTexts, experts: tuple[LLMExpert, ...], gate: ProjectedGate, rows: Tensor) -> Tensor:
    logits = torch.stack([expert.logits(texts.view, rows) for expert in experts], -1)
    return mixture_margin(gate.weights(GateState(texts.view.features[rows], logits)), logits)


def loss_on(texts: TaskTexts, rows: Tensor, experts: tuple[LLMExpert, ...], gate: ProjectedGate) -> float:
    labels = texts.view.labels[rows].float()
    z = margin(texts, experts, gate, rows)
    return float(torch.nn.functional.binary_cross_entropy_with_logits(z, labels))


def run(
    texts: TaskTexts, experts: tuple[LLMExpert, ...], better: bool | None = None, **changes: float
) -> FineTuning[float]:
    """Judged by the loss on training rows, so that what training must lower is what is seen."""
    rows = texts.view.split.train
    return fine_tune(
        texts,
        experts,
        gate_of(texts),
        [replace(config, **changes) for config in FEW],  # type: ignore[arg-type]
        seed=0,
        judge=lambda who, gate: loss_on(texts, rows, who, gate),
        better=lambda new, old: new < old if better is None else better,
    )


def test_the_system_learns_together(texts: TaskTexts, experts: tuple[LLMExpert, ...]) -> None:
    tuned = run(texts, experts, lambda_fair=0.0)
    assert tuned.kept and tuned.after < tuned.before and tuned.config is not None
    assert [step for _, step, _ in tuned.history] == [4, 8]
    old, new = gate_of(texts), tuned.gate
    assert isinstance(new, DenseGate) and not torch.equal(new.score_bias, old.score_bias)
    for before, after in zip(experts, tuned.experts, strict=True):
        assert before.adapter is not None and after.adapter is not None
        assert any(not torch.equal(after.adapter.state[k], v) for k, v in before.adapter.state.items())
        assert (after.temperature, after.bias) == (before.temperature, before.bias)
    rows = texts.view.split.train
    assert loss_on(texts, rows, tuned.experts, tuned.gate) == pytest.approx(tuned.after, abs=1e-6)


def test_what_the_rule_does_not_want_is_not_kept(texts: TaskTexts, experts: tuple[LLMExpert, ...]) -> None:
    tuned = run(texts, experts, better=False)
    assert not tuned.kept and tuned.experts == experts and tuned.after == tuned.before and tuned.config is None


def test_snapshots_are_not_changed_by_later_steps(texts: TaskTexts, experts: tuple[LLMExpert, ...]) -> None:
    seen: list[tuple[tuple[LLMExpert, ...], float]] = []

    def judge(who: tuple[LLMExpert, ...], gate: ProjectedGate) -> float:
        seen.append((who, float(margin(texts, who, gate, texts.view.split.validation).sum())))
        return 0.0

    fine_tune(texts, experts, gate_of(texts), FEW, seed=0, judge=judge, better=lambda new, old: False)
    key = next(iter(seen[1][0][0].adapter.state))  # type: ignore[union-attr]
    first, second = (who[0].adapter.state for who, _ in seen[1:3])  # type: ignore[union-attr]
    assert any(not torch.equal(first[k], second[k]) for k in first) and key in second
    assert len({value for _, value in seen}) == 3


def test_the_fairness_weight_lowers_the_gaps(texts: TaskTexts, experts: tuple[LLMExpert, ...]) -> None:
    rows, view = texts.view.split.train, texts.view

    def gap_of(tuned: FineTuning[float]) -> float:
        p = torch.sigmoid(margin(texts, tuned.experts, tuned.gate, rows))[None]
        return float(point_values(p, view.labels[rows], view.groups[rows], 2, metrics=("dp@1",))["dp@1"])

    changes = {"steps": 20, "learning_rate": 1e-2}
    plain, fair = (run(texts, experts, True, lambda_fair=weight, **changes) for weight in (0.0, 10.0))
    assert gap_of(fair) < gap_of(plain) - 0.05


def test_a_gate_without_parameters_stays(texts: TaskTexts, experts: tuple[LLMExpert, ...]) -> None:
    gate = UniformGate(len(experts))
    tuned = fine_tune(texts, experts, gate, FEW, seed=0, judge=lambda who, g: 0.0, better=lambda new, old: True)
    assert tuned.gate is gate and tuned.kept


def test_the_base_cannot_be_fine_tuned(texts: TaskTexts, experts: tuple[LLMExpert, ...]) -> None:
    with pytest.raises(AdapterError, match="nothing to fine-tune"):
        fine_tune(
            texts,
            [*experts, base_expert(texts.reader)],
            gate_of(texts, 4),
            FEW,
            seed=0,
            judge=lambda who, gate: 0.0,
            better=lambda new, old: True,
        )


def test_the_gates_numbers_stay_on_their_device() -> None:
    parts = [torch.ones(2, 3, device="meta"), torch.ones(4, device="meta")]
    assert flat_numbers(parts).device.type == "meta"
    assert flat_numbers([torch.tensor([[1.0, 2.0]]), torch.tensor([3.0])]).tolist() == [[1.0, 2.0, 3.0]]
    assert flat_numbers([]).shape == (1, 0)
