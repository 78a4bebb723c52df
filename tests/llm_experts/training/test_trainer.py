"""Lanes learn, are judged, stopped and reproduced; what goes wrong in one leaves the others alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from llm_experts.bases.memory import CPU_FLOATS
from llm_experts.decoder.lanes import AdapterLanes
from llm_experts.decoder.layout import Answers, TopInput
from llm_experts.reading.calibration import calibrated
from llm_experts.training import trainer as module
from llm_experts.training.objectives import LAMBDAS, Options
from llm_experts.training.out_of_fold import fixed_steps
from llm_experts.training.text_blocks import TaskTexts, TextBlock
from llm_experts.training.trainer import Budget, LaneConfig, LaneResult, train_lanes
from metrics.points import point_values
from metrics.procedural import procedural_points
from tests.llm_experts.lane_fixtures import make_texts

SHORT = Budget(steps=12, eval_every=4, warm_up=2, batch_rows=24, rungs=(), explained_rows=16, final_rows=24)


@pytest.fixture(scope="module")
def texts() -> TaskTexts:
    return make_texts(160)


def configs(count: int = 2, lr: float = 3e-3, **lambdas: float) -> list[LaneConfig]:
    return [LaneConfig(lr, 1e-4, 4, lambdas, seed) for seed in range(count)]


def test_lanes_learn_the_task() -> None:
    texts = make_texts(400)
    budget = Budget(steps=48, eval_every=12, warm_up=4, batch_rows=64, rungs=(), final_rows=0)
    result = train_lanes(texts, "utility", [LaneConfig(1e-2, 0.0, 8)], budget, seed=0)
    assert result.metrics[0]["auc@1"] > 0.8
    assert result.state == ["completed"] and result.feasible == [True]


@pytest.mark.parametrize("role", ["result", "procedural", "combined"])
def test_without_weights_a_role_is_the_utility_role(texts: TaskTexts, role: str) -> None:
    zeros = dict.fromkeys(LAMBDAS[role], 0.0)  # type: ignore[index]
    plain = train_lanes(texts, "utility", configs(), SHORT, seed=3, keep_last=True)
    same = train_lanes(texts, role, configs(**zeros), SHORT, seed=3, keep_last=True)  # type: ignore[arg-type]
    assert torch.equal(plain.theta, same.theta)


def test_the_same_call_gives_the_same_numbers(texts: TaskTexts) -> None:
    lanes = configs(lambda_cf=1.0, lambda_attention=1.0, lambda_adv=0.1)
    one, two = (train_lanes(texts, "procedural", lanes, SHORT, seed=1) for _ in range(2))
    assert torch.equal(one.theta, two.theta)
    assert one.metrics == [pytest.approx(again, rel=0, abs=0, nan_ok=True) for again in two.metrics]
    other = train_lanes(texts, "procedural", lanes, SHORT, seed=2)
    assert not torch.equal(one.theta, other.theta)


def test_metrics_are_those_of_calibrated_probabilities(texts: TaskTexts) -> None:
    result = train_lanes(texts, "utility", configs(), SHORT, seed=0)
    view = texts.view
    rows = view.split.validation
    read = texts.reader.margins([result.adapter(lane) for lane in range(2)], view, rows).double()
    torch.testing.assert_close(result.margins, read, atol=1e-5, rtol=1e-4)
    probability = torch.sigmoid(calibrated(result.margins, *result.calibration))
    values = point_values(probability, view.labels[rows], view.groups[rows], 2)
    for lane in range(2):
        assert result.metrics[lane]["utility@1"] == pytest.approx(float(values["utility@1"][lane]), abs=1e-6)


def test_a_checkpoint_asks_every_row_once_and_the_end_asks_none_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Margins and answer mass come from one pass, and chosen checkpoints are remembered."""
    texts, asked, answers = make_texts(160), [], AdapterLanes.answers

    def counted(self: AdapterLanes, theta: Tensor, lanes: slice, given: TopInput) -> Answers:
        if not torch.is_grad_enabled():
            asked.append(len(theta) * len(given.hidden))
        return answers(self, theta, lanes, given)

    monkeypatch.setattr(AdapterLanes, "answers", counted)
    budget = dataclasses.replace(SHORT, final_rows=0)
    result = train_lanes(texts, "utility", configs(), budget, seed=0)
    rows = len(texts.view.split.validation)
    assert sum(asked) == 2 * rows * budget.steps // budget.eval_every
    masses = texts.reader.answer_mass([result.adapter(0), result.adapter(1)], texts.view, texts.view.split.validation)
    assert rows <= module.MASS_ROWS
    torch.testing.assert_close(result.mass, masses.double().mean(1), atol=1e-6, rtol=1e-5)


def test_reasons_are_occlusions(texts: TaskTexts) -> None:
    """fair_proc@1 of the procedural role against an expert that is asked column by column."""
    view, rows = texts.view, texts.view.split.validation
    budget = dataclasses.replace(SHORT, final_rows=len(rows))
    result = train_lanes(texts, "procedural", configs(1, lambda_cf=1.0), budget, seed=0)
    temperature, bias = (float(part[0]) for part in result.calibration)

    def margin(keep: Tensor | None) -> Tensor:
        shown = None if keep is None else keep.expand(len(rows), -1)
        return texts.reader.margins([result.adapter(0)], view, rows, shown)[0].double() / temperature + bias

    plain, columns = margin(None), len(view.columns)
    without = torch.stack([margin(~torch.eye(columns, dtype=torch.bool)[c]) for c in range(columns)], 1)
    attributions = plain[:, None] - without
    masked = without.gather(1, attributions.abs().argmax(1, keepdim=True))[:, 0]
    parts = (torch.sigmoid(plain)[None], torch.sigmoid(masked)[None], attributions[None])
    expected = procedural_points(*parts, view.groups[rows], 2)
    for name in ("ref@1", "vef@1", "att_jsd@1", "fair_proc@1"):
        assert result.metrics[0][name] == pytest.approx(float(expected[name]), abs=1e-5)


def test_lanes_come_back_in_the_order_of_their_configurations(texts: TaskTexts) -> None:
    ranks = [8, 4, 8, 4]
    mixed = [LaneConfig(3e-3, 0.0, rank, {}, seed) for seed, rank in enumerate(ranks)]
    result = train_lanes(texts, "utility", mixed, SHORT, seed=0)
    shapes = [next(v for k, v in result.adapter(lane).state.items() if "lora_A" in k).shape[0] for lane in range(4)]
    assert shapes == ranks
    alone = train_lanes(texts, "utility", mixed[2:3], SHORT, seed=0)
    torch.testing.assert_close(result.margins[2], alone.margins[0], atol=1e-3, rtol=1e-3)
    assert {row["lane"] for row in result.history} == {0, 1, 2, 3}


def test_a_lane_that_diverges_says_so_and_the_others_go_on(texts: TaskTexts) -> None:
    wild = [LaneConfig(3e-3, 0.0, 4, {}, 0), LaneConfig(1e25, 0.0, 4, {}, 1)]
    result = train_lanes(texts, "utility", wild, SHORT, seed=0)
    assert result.state == ["completed", "failed"]
    assert "lower the learning rate" in result.reason[1]
    assert result.metrics[0]["utility@1"] > 0 and result.metrics[1]["utility@1"] != result.metrics[1]["utility@1"]


Answer = Callable[[AdapterLanes, Tensor, slice, TopInput], Answers]


def tight_memory(monkeypatch: pytest.MonkeyPatch, most_lanes: int, most_rows: int) -> None:
    """Memory that holds a gradient of a few lanes and rows only."""
    answers: Answer = AdapterLanes.answers

    def limited(self: AdapterLanes, theta: Tensor, lanes: slice, given: TopInput) -> Answers:
        big = lanes.stop - lanes.start > most_lanes or len(given.columns) > most_rows
        if theta.requires_grad and big:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return answers(self, theta, lanes, given)

    monkeypatch.setattr(AdapterLanes, "answers", limited)


def trained(texts: TaskTexts, count: int = 4) -> LaneResult:
    return train_lanes(texts, "utility", configs(count), SHORT, seed=0, keep_last=True)


def test_lanes_that_do_not_fit_together_are_trained_in_parts(
    texts: TaskTexts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    roomy = trained(texts)
    tight_memory(monkeypatch, most_lanes=1, most_rows=100)
    tight = trained(texts)
    assert tight.notes == [
        "4 lanes at once did not fit in memory; went on with 2.",
        "2 lanes at once did not fit in memory; went on with 1.",
    ]
    assert "did not fit in memory" in caplog.text
    torch.testing.assert_close(tight.theta, roomy.theta, atol=1e-4, rtol=1e-3)


def test_evaluations_follow_the_memory_that_training_was_left(
    texts: TaskTexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    tight_memory(monkeypatch, most_lanes=1, most_rows=100)
    asked: list[int] = []
    before = module.block_measures

    def seen(lanes: AdapterLanes, theta: Tensor, block: TextBlock, floats: int, *rest: Any) -> Tensor:
        asked.append(floats)
        return before(lanes, theta, block, floats, *rest)

    monkeypatch.setattr(module, "block_measures", seen)
    trained(texts)
    assert asked and max(asked) < CPU_FLOATS // 100


def test_a_batch_that_does_not_fit_is_halved(texts: TaskTexts, monkeypatch: pytest.MonkeyPatch) -> None:
    tight_memory(monkeypatch, most_lanes=1, most_rows=12)
    result = trained(texts, 1)
    assert result.notes == ["A batch did not fit in memory; went on with 12 rows."]
    assert result.state == ["completed"] and bool(result.theta.isfinite().all())


def test_memory_that_holds_nothing_is_an_error(texts: TaskTexts, monkeypatch: pytest.MonkeyPatch) -> None:
    tight_memory(monkeypatch, most_lanes=1, most_rows=2)
    with pytest.raises(torch.OutOfMemoryError):
        trained(texts, 1)


def test_halving_prunes_the_worse_half(texts: TaskTexts) -> None:
    budget = dataclasses.replace(SHORT, rungs=(0.3, 0.6), patience=9)
    rates = [LaneConfig(lr, 0.0, 4, {}, 0) for lr in (1e-2, 3e-3, 1e-7, 1e-8)]
    result = train_lanes(texts, "utility", rates, budget, seed=0)
    assert result.state.count("pruned") == 3 and result.state.count("completed") == 1
    assert {result.state[2], result.state[3]} == {"pruned"}
    assert all("running lanes" in result.reason[lane] for lane in range(4) if result.state[lane] == "pruned")


def test_a_lane_that_does_not_improve_stops(texts: TaskTexts) -> None:
    budget = dataclasses.replace(SHORT, steps=40, patience=2)
    result = train_lanes(texts, "utility", [LaneConfig(1e-12, 0.0, 4)], budget, seed=0)
    assert result.state == ["early_stopped"] and max(row["step"] for row in result.history) < 40


def test_fair_roles_choose_after_warm_up(texts: TaskTexts) -> None:
    budget = dataclasses.replace(SHORT, warm_up=6)
    result = train_lanes(texts, "result", configs(lambda_fair=1.0), budget, seed=0)
    assert all(step > 6 for step in result.step)


def test_rows_of_weight_zero_teach_nothing() -> None:
    """A fold's lane does not change when the labels of the rows that it leaves out do."""
    texts = make_texts(120)
    weights = torch.ones(2, len(texts.view.split.train))
    weights[0, :30] = 0.0

    def theta_of(texts: TaskTexts) -> Tensor:
        lanes = configs(lambda_fair=1.0)
        return train_lanes(texts, "result", lanes, SHORT, seed=0, row_weights=weights, keep_last=True).theta

    before = theta_of(texts)
    # the batches follow the strata, so the two runs have to see the same rows in the same order
    strata = texts.view.labels.clone()
    left_out = texts.view.split.train[:30]
    flipped = dataclasses.replace(texts.view, labels=texts.view.labels.clone())
    flipped.labels[left_out] = 1 - flipped.labels[left_out]
    other = TaskTexts(flipped, texts.reader)
    from experts.networks import batches

    original = batches.stratified_order
    groups, train = texts.view.groups[texts.view.split.train], texts.view.split.train

    def same_order(_strata: Tensor, generator: torch.Generator) -> Tensor:
        return original(strata[train] * 2 + groups, generator)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "stratified_order", same_order)
        after = theta_of(other)
    # rates are divided by the number of rows of a label and then by their weights: equal but for the last digit
    torch.testing.assert_close(before[0], after[0], rtol=0, atol=1e-7)
    assert float((before[1] - after[1]).abs().max()) > 1e-5


def test_fixed_steps_repeat_the_beginning_of_a_longer_run(texts: TaskTexts) -> None:
    budget = dataclasses.replace(SHORT, steps=12, eval_every=8, patience=9)
    long = train_lanes(texts, "utility", configs(1, lr=1e-12), budget, seed=0)
    assert long.step == [8]  # nothing is learnt, so the first evaluation wins
    short = train_lanes(texts, "utility", configs(1, lr=1e-12), fixed_steps(budget, 8), seed=0, keep_last=True)
    assert torch.equal(short.theta, long.theta)


def test_the_reward_learns_too_and_kl_holds_it_back() -> None:
    texts = make_texts(300)
    budget = Budget(steps=40, eval_every=40, warm_up=4, batch_rows=64, rungs=(), final_rows=0)
    lanes = [LaneConfig(1e-2, 0.0, 8)]
    free = train_lanes(texts, "utility", lanes, budget, seed=0, options=Options("reward"), keep_last=True)
    held = train_lanes(texts, "utility", lanes, budget, seed=0, options=Options("reward", kl=5.0), keep_last=True)
    assert free.metrics[0]["auc@1"] > 0.75
    base = texts.reader.margins([None], texts.view, texts.view.split.validation).double()
    assert float((held.margins - base).abs().mean()) < 0.3 * float((free.margins - base).abs().mean())


@pytest.mark.parametrize(
    ("lanes", "budget", "text"),
    [
        ([], SHORT, "no configuration"),
        (configs(1, lambda_cf=1.0), SHORT, "has .'lambda_cf'."),
        (configs(1, lambda_fair=-1.0), SHORT, "negative or infinite"),
        (configs(1), dataclasses.replace(SHORT, warm_up=12), "leaves nothing of 12 steps"),
        (configs(1), dataclasses.replace(SHORT, batch_rows=1), "batch_rows ≥ 2"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    texts: TaskTexts, lanes: list[LaneConfig], budget: Budget, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        train_lanes(texts, "result", lanes, budget, seed=0)


def test_test_rows_are_not_evaluation_rows(texts: TaskTexts) -> None:
    with pytest.raises(ValueError, match="hidden labels"):
        train_lanes(texts, "utility", configs(1), SHORT, seed=0, eval_rows=texts.view.split.test)
