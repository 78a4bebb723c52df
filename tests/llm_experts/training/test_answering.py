"""Experts keep answering: a loss on margins alone lets other words overtake both answers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from experts.expert import Role
from experts.tuning.trial_store import Row
from experts.tuning.trials import ANSWER_MASS, choose
from llm_experts.decoder.lanes import AdapterLanes
from llm_experts.decoder.layout import Answers
from llm_experts.training.objectives import LAMBDAS, Answering
from llm_experts.training.objectives import answering as module
from llm_experts.training.objectives.answering import WEIGHT, log_masses
from llm_experts.training.text_blocks import TaskTexts
from llm_experts.training.trainer import Budget, LaneConfig, LaneResult, train_lanes
from llm_experts.training.tuning import tune
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.lane_fixtures import NO, YES, TokenReader, make_texts

SHOUTED = (11, 13)
"""Words that say the same as no and yes, louder: what makes an answer sure makes them likelier still."""
BUDGET = Budget(steps=40, eval_every=8, warm_up=4, batch_rows=24, rungs=(), explained_rows=8, final_rows=0)


def answering_texts() -> TaskTexts:
    """A task on a base that answers in one case of seven, and has louder words for the same."""
    base = make_tiny_base(layers=2)
    embedding = base.model.get_input_embeddings().weight
    generator = torch.Generator().manual_seed(3)
    asked, sure = torch.linalg.qr(torch.randn(embedding.shape[1], 2, generator=generator)).Q.T
    head = embedding.detach().clone()
    embedding.data += 4.0 * asked
    head[[NO, YES]] = 2.0 * asked + torch.stack([-sure, sure])
    head[list(SHOUTED)] = torch.stack([-sure, sure]) * 6.0
    base.model.lm_head.weight = nn.Parameter(head, requires_grad=False)
    return TaskTexts(make_texts(480).view, TokenReader(base, start=-1))


@pytest.fixture(scope="module")
def texts() -> TaskTexts:
    return answering_texts()


def trained(texts: TaskTexts, role: str, lr: float = 3e-2) -> LaneResult:
    lane = LaneConfig(lr, 0.0, 8, dict.fromkeys(LAMBDAS[role], 1.0), 1)  # type: ignore[index]
    return train_lanes(texts, role, [lane], BUDGET, seed=0, keep_last=True)  # type: ignore[arg-type]


def without_the_term(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answering, "shortfall", lambda self, answers, weights=None: torch.zeros(len(answers.margin)))


def read_mass(texts: TaskTexts, result: LaneResult) -> Tensor:
    view = texts.view
    return texts.reader.answer_mass([result.adapter(0)], view, view.split.validation)[0].double()


@pytest.mark.parametrize("role", ["utility", "result", "procedural", "combined"])
def test_training_keeps_the_answer_mass(texts: TaskTexts, role: str) -> None:
    base = texts.base_mass(texts.view.split.validation)
    assert base > 0.1
    result = trained(texts, role)
    assert result.least_mass == pytest.approx(base / 4)
    assert float(result.mass[0]) >= result.least_mass
    assert float(read_mass(texts, result).mean()) == pytest.approx(float(result.mass[0]), rel=1e-4)


def test_margins_alone_lose_it(texts: TaskTexts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the term is for: without it the procedural role leaves yes and no a thirtieth of what they had."""
    without_the_term(monkeypatch)
    result = trained(texts, "procedural")
    assert float(result.mass[0]) < 0.5 * result.least_mass


def test_a_checkpoint_that_does_not_answer_is_infeasible(texts: TaskTexts, monkeypatch: pytest.MonkeyPatch) -> None:
    without_the_term(monkeypatch)
    lanes = [LaneConfig(lr, 0.0, 8, {"lambda_cf": 1.0, "lambda_adv": 1.0}, 1) for lr in (1e-4, 0.1)]
    result = train_lanes(texts, "procedural", lanes, BUDGET, seed=0, utility_floor=0.0)
    kept = result.mass >= result.least_mass
    assert kept.tolist() == [True, False]
    assert not result.feasible[1]


def test_trials_say_what_they_lack(texts: TaskTexts, tmp_path: Path) -> None:
    tuned = tune(texts, "utility", seed=0, folder=tmp_path, budget=BUDGET, trials=2, batch=2)
    assert all(set(row["constraints"]) == {ANSWER_MASS} for row in tuned.trials)
    assert tuned.feasible and tuned.note == ""
    fair = tune(
        texts, "result", seed=0, folder=tmp_path, budget=BUDGET, trials=2, batch=2, utility_floor=tuned, epsilon=0.3
    )
    assert all(set(row["constraints"]) == {"utility", "not_constant", ANSWER_MASS} for row in fair.trials)
    mass = fair.expert.answer_mass(texts.view, texts.view.split.validation)
    assert mass.mean >= Answering.on(torch.zeros(1, 1), texts.base_mass(texts.view.split.validation)).least


def row(number: int, utility: float, short: float, role_score: float = 0.1) -> Row:
    constraints = {ANSWER_MASS: short}
    metrics = {"utility@1": utility}
    return {
        "number": number, "metrics": metrics, "objective": role_score, "constraints": constraints, "reason": "",
        "feasible": short <= 0, "state": "COMPLETE",
    }  # fmt: skip


@pytest.mark.parametrize("role", ["utility", "result"])
def test_no_role_takes_what_does_not_answer_where_another_is_there(role: Role) -> None:
    chosen, note = choose([row(0, 0.9, 0.09, 0.01), row(1, 0.7, -0.5), row(2, 0.6, -0.5, 0.2)], role, 0.5)
    assert chosen["number"] == 1 and note == ""
    chosen, note = choose([row(0, 0.9, 0.09, 0.01), row(1, 0.7, 0.05)], role, 0.5)
    assert chosen["number"] == 0 and "does not answer the question" in note


def test_the_rule_asks_no_more_than_a_base_can() -> None:
    head = torch.zeros(3, 2)
    assert Answering.on(head, 0.99).least == 0.1 and Answering.on(head, 0.99).wanted == 0.2
    assert Answering.on(head, 0.02).least == pytest.approx(0.005)


def test_masses_are_those_of_all_words_whatever_the_blocks(texts: TaskTexts, monkeypatch: pytest.MonkeyPatch) -> None:
    lanes = AdapterLanes.fresh(texts.cut, (NO, YES), "lora", [4, 4], [1, 2])
    noise = torch.randn(lanes.start.shape, generator=torch.Generator().manual_seed(0))
    given = texts.rows(texts.view.split.validation).take(torch.arange(9))
    head = texts.cut.base.model.get_output_embeddings().weight.detach()

    def found() -> tuple[Tensor, Tensor]:
        theta = (lanes.start + 0.3 * noise).requires_grad_()
        answers: Answers = lanes.answers(theta, slice(0, 2), given)
        masses = log_masses(answers, head)
        return masses.detach(), torch.autograd.grad(masses.sum(), theta)[0]

    whole, slope = found()
    monkeypatch.setattr(module, "BLOCK_FLOATS", 36 * 50)
    parts, same = found()
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(same, slope, atol=1e-5, rtol=1e-4)
    answers = lanes.answers(lanes.start + 0.3 * noise, slice(0, 2), given)
    logits = answers.final @ head.T
    torch.testing.assert_close(whole.exp(), torch.softmax(logits, -1)[..., [NO, YES]].sum(-1))


def test_enough_mass_pulls_at_nothing(texts: TaskTexts) -> None:
    lanes = AdapterLanes.fresh(texts.cut, (NO, YES), "lora", [4], [1])
    theta = lanes.start.clone().requires_grad_()
    answers = lanes.answers(theta, slice(0, 1), texts.rows(texts.view.split.validation).take(torch.arange(9)))
    head = texts.cut.base.model.get_output_embeddings().weight.detach()
    enough, short = Answering(head, 1e-9), Answering(head, 0.4)
    assert not enough.shortfall(answers).any() and bool((short.shortfall(answers) > 0).all())
    (slope,) = torch.autograd.grad(enough.shortfall(answers).sum(), theta, retain_graph=True)
    assert not slope.any()
    (slope,) = torch.autograd.grad(short.shortfall(answers).sum(), theta)
    assert slope.any()


def test_the_shortfall_is_that_of_the_weighted_mean(texts: TaskTexts) -> None:
    lanes = AdapterLanes.fresh(texts.cut, (NO, YES), "lora", [4, 4], [1, 2])
    given = texts.rows(texts.view.split.validation).take(torch.arange(9))
    answers = lanes.answers(lanes.start, slice(0, 2), given)
    rule = Answering(texts.cut.base.model.get_output_embeddings().weight.detach(), 0.45)
    mass = rule.mass(answers)
    torch.testing.assert_close(rule.shortfall(answers), WEIGHT * (0.9 / mass.mean(1)).log())
    weights = torch.zeros(2, 9)
    weights[0, :3], weights[1, 4] = 1 / 3, 1.0
    expected = torch.stack([mass[0, :3].mean(), mass[1, 4]])
    torch.testing.assert_close(rule.shortfall(answers, weights), WEIGHT * (0.9 / expected).log())
