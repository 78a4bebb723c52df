"""Distillation: the blended loss by hand, and what lanes learn from a teacher."""

import dataclasses
import math

import pytest
import torch

from llm_experts.training.objectives import Options, Teacher
from llm_experts.training.objectives.utility import utility
from llm_experts.training.out_of_fold import out_of_fold_logits
from llm_experts.training.text_blocks import TaskTexts
from llm_experts.training.trainer import Budget, LaneConfig, block_margins, train_lanes
from llm_experts.training.tuning import tune
from llm_experts.training.twin import train_fixed
from tests.llm_experts.lane_fixtures import make_texts
from tests.llm_experts.training.test_objectives import batch_of

SHORT = Budget(steps=12, eval_every=4, warm_up=2, batch_rows=24, rungs=(), final_rows=0)
LANES = [LaneConfig(3e-3, 0.0, 4, {}, seed) for seed in range(2)]


@pytest.fixture(scope="module")
def texts() -> TaskTexts:
    return make_texts(160)


def test_the_blended_loss_by_hand() -> None:
    """Teacher 9 : 1, expert 1 : 1; at T = 2 these are 3 : 1 and 1 : 1."""
    teacher = Teacher(torch.tensor([math.log(9.0)]), weight=0.25, temperature=2.0)
    kl = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    found = teacher.blended(torch.tensor([[0.7]]), torch.zeros(1, 1))
    torch.testing.assert_close(found, torch.tensor([[0.75 * 0.7 + 0.25 * 4 * kl]]))


def test_utility_blends_with_and_without_weights(texts: TaskTexts) -> None:
    batch, margins = batch_of(texts), torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    teacher = Teacher(torch.linspace(-2, 2, 32), 0.4, 3.0)
    plain = utility(margins, batch, slice(0, 2), Options())
    soft = teacher.blended(torch.zeros(2, 32), margins)
    taught = utility(margins, dataclasses.replace(batch, teacher=teacher), slice(0, 2), Options())
    torch.testing.assert_close(taught, 0.6 * plain + soft.mean(1))
    weights = torch.rand(2, 32, generator=torch.Generator().manual_seed(1))
    weighted = dataclasses.replace(batch, teacher=dataclasses.replace(teacher, weight=1.0), weights=weights)
    expected = (teacher.blended(torch.zeros(2, 32), margins) / 0.4 * weights / weights.sum(1, keepdim=True)).sum(1)
    torch.testing.assert_close(utility(margins, weighted, slice(0, 2), Options()), expected)


def test_the_slope_at_a_high_temperature_is_a_quarter_of_the_difference() -> None:
    margins = torch.tensor([[0.3, -1.0]], dtype=torch.float64, requires_grad=True)
    teacher = Teacher(torch.tensor([2.0, 1.0], dtype=torch.float64), 1.0, 1e3)
    (slope,) = torch.autograd.grad(teacher.blended(torch.zeros(1, 2), margins).sum(), margins)
    torch.testing.assert_close(slope, (margins.detach() - teacher.margins) / 4, atol=1e-5, rtol=0)


def test_a_teacher_of_no_weight_changes_no_bit_and_one_of_weight_does(texts: TaskTexts) -> None:
    margins = torch.randn(len(texts.view.split.train), generator=torch.Generator().manual_seed(0))
    thetas = [
        train_lanes(texts, "utility", LANES, SHORT, seed=1, keep_last=True, teacher=teacher).theta
        for teacher in (None, Teacher(margins, 0.0), Teacher(margins, 0.5))
    ]
    assert torch.equal(thetas[0], thetas[1]) and not torch.equal(thetas[0], thetas[2])


def test_lanes_take_over_what_a_teacher_says_against_the_labels() -> None:
    """A teacher of weight 1 that says the opposite of every label: experts say the opposite too."""
    texts = make_texts(400)
    view = texts.view
    labels = view.labels[view.split.train].double()
    budget = Budget(steps=48, eval_every=48, warm_up=4, batch_rows=64, rungs=(), final_rows=0)
    result = train_lanes(
        texts, "utility", [LaneConfig(1e-2, 0.0, 8)], budget, seed=0, keep_last=True,
        teacher=Teacher(2 - 4 * labels, 1.0, 1.0),
    )  # fmt: skip
    margins = block_margins(result.lanes, result.theta, texts.rows(view.split.train), 1 << 24)[0]
    assert float((margins * (1 - 2 * labels)).mean()) > 0.2


def test_studies_folds_and_fixed_lanes_have_the_teacher(texts: TaskTexts, tmp_path) -> None:
    teacher = Teacher(torch.linspace(-1, 1, len(texts.view.split.train)), 0.7, 2.0)
    tuned = tune(texts, "utility", seed=0, folder=tmp_path, budget=SHORT, trials=1, batch=1, teacher=teacher)
    assert tuned.recipe.teacher is teacher
    assert tuned.details()["teacher"] == teacher.as_dict() != dataclasses.replace(teacher, weight=0.6).as_dict()
    without = tuned.recipe._replace(teacher=None)
    folds = [out_of_fold_logits(texts, [recipe], seed=0, folds=2) for recipe in (tuned.recipe, without)]
    fixed = [
        train_fixed(texts, recipe).margins(texts.view, texts.view.split.test[:8]) for recipe in (tuned.recipe, without)
    ]
    assert not torch.equal(*folds) and not torch.equal(*fixed)


def test_teachers_that_cannot_teach(texts: TaskTexts) -> None:
    for settings, word in (({"weight": 1.5}, "from 0 to 1"), ({"temperature": 0.0}, "above 0")):
        with pytest.raises(ValueError, match=word):
            Teacher(torch.zeros(3), **settings)
    with pytest.raises(ValueError, match="not finite"):
        Teacher(torch.tensor([float("nan")]))
    with pytest.raises(ValueError, match="speaks of 3 rows"):
        train_lanes(texts, "utility", LANES, SHORT, seed=0, teacher=Teacher(torch.zeros(3)))
