"""Every weight above 0 changes a gradient, a weight of 0 adds exactly none, and terms are the metrics' definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from experts.expert import Role
from llm_experts.decoder.lanes import AdapterLanes
from llm_experts.decoder.layout import Answers, TopInput
from llm_experts.training.batches import TrainingTexts
from llm_experts.training.objectives import LAMBDAS, Objective, Options, TextBatch
from llm_experts.training.objectives.attribution import by_column
from llm_experts.training.objectives.counterfactual import margin_divergence
from llm_experts.training.objectives.teacher import bernoulli_kl
from llm_experts.training.objectives.utility import expected_reward
from llm_experts.training.text_blocks import TaskTexts
from metrics.points import point_values
from metrics.procedural.attribution import att_jsd, profiles
from tests.llm_experts.lane_fixtures import make_texts, noisy_lanes

ALL = slice(0, 2)


@pytest.fixture(scope="module")
def texts() -> TaskTexts:
    return make_texts(120)


@pytest.fixture(scope="module")
def lanes(texts: TaskTexts) -> tuple[AdapterLanes, Tensor]:
    return noisy_lanes(texts)


def batch_of(texts: TaskTexts, weights: Tensor | None = None, rows: int = 32) -> TextBatch:
    stream = TrainingTexts(texts, rows, 0, moved=True, weights=weights)
    stream.draw()
    return stream.batch()


def gradient(
    lanes: tuple[AdapterLanes, Tensor],
    batch: TextBatch,
    role: Role,
    lambdas: list[dict[str, float]],
    options: Options | None = None,
) -> tuple[Tensor, Tensor]:
    """Losses [2] and gradients [2, P] of two lanes."""
    which, start = lanes
    theta = start.clone().requires_grad_()
    objective = Objective(role, lambdas, options or Options(), 64, batch.n_groups, [3, 4])

    def run(given: TopInput) -> Answers:
        return which.answers(theta, ALL, given)

    loss = objective.loss(run, batch, ALL)
    return loss.detach(), torch.autograd.grad(loss.sum(), theta)[0]


@pytest.mark.parametrize("attribution", ["attention", "gradient"])
@pytest.mark.parametrize("role", ["result", "procedural", "combined"])
def test_a_weight_above_zero_changes_its_lane_alone(
    texts: TaskTexts, lanes: tuple[AdapterLanes, Tensor], role: Role, attribution: str
) -> None:
    batch, options = batch_of(texts), Options(attribution=attribution)  # type: ignore[arg-type]
    _, plain = gradient(lanes, batch, "utility", [{}, {}])
    for name in LAMBDAS[role]:
        _, found = gradient(lanes, batch, role, [{name: 0.5}, {name: 0.0}], options)
        assert float((found[0] - plain[0]).abs().max()) > 1e-6, name
        # a zero added on the way back may change the order in which the next product sums
        torch.testing.assert_close(found[1], plain[1], atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("role", ["result", "procedural", "combined"])
def test_all_weights_zero_is_the_utility_gradient(
    texts: TaskTexts, lanes: tuple[AdapterLanes, Tensor], role: Role
) -> None:
    batch = batch_of(texts)
    loss, plain = gradient(lanes, batch, "utility", [{}, {}])
    same, found = gradient(lanes, batch, role, [dict.fromkeys(LAMBDAS[role], 0.0)] * 2)
    assert torch.equal(found, plain) and torch.equal(loss, same)


def test_utility_is_weighted_cross_entropy(texts: TaskTexts, lanes: tuple[AdapterLanes, Tensor]) -> None:
    weights = torch.rand(2, len(texts.view.split.train), generator=torch.Generator().manual_seed(1))
    batch = batch_of(texts, weights)
    loss, _ = gradient(lanes, batch, "utility", [{}, {}])
    margin = lanes[0].answers(lanes[1], ALL, batch.given).margin
    assert batch.weights is not None
    expected = [
        binary_cross_entropy_with_logits(m, batch.targets, weight=w, reduction="sum") / w.sum()
        for m, w in zip(margin, batch.weights, strict=True)
    ]
    torch.testing.assert_close(loss, torch.stack(expected).detach())


def test_a_row_of_weight_zero_is_not_there(texts: TaskTexts, lanes: tuple[AdapterLanes, Tensor]) -> None:
    """Leaving rows out by weight is leaving them out: every term but the adversary, which starts alike, agrees."""
    stream = TrainingTexts(texts, 32, 0, moved=True)
    stream.draw()
    places = stream.places
    kept = places[:20]
    weights = torch.zeros(2, len(texts.view.split.train))
    weights[:, kept] = 1.0
    weighted = TrainingTexts(texts, 32, 0, moved=True, weights=weights).take(places)
    lambdas = [dict.fromkeys(LAMBDAS["combined"], 0.7)] * 2
    one = gradient(lanes, weighted, "combined", lambdas)
    two = gradient(lanes, stream.take(kept), "combined", lambdas)
    torch.testing.assert_close(one, two, atol=2e-5, rtol=1e-3)


def test_attribution_divergence_is_the_metric(texts: TaskTexts, lanes: tuple[AdapterLanes, Tensor]) -> None:
    batch = batch_of(texts)
    answers = lanes[0].answers(lanes[1], ALL, batch.given)
    loss, _ = gradient(lanes, batch, "procedural", [{"lambda_attention": 1.0}] * 2)
    plain, _ = gradient(lanes, batch, "utility", [{}, {}])
    by_hand = by_column(answers.attention, batch.given.columns, batch.n_columns).detach()
    metric = att_jsd(profiles(by_hand, batch.groups, batch.n_groups), torch.ones(2, dtype=torch.bool))
    torch.testing.assert_close((loss - plain).double(), metric, atol=1e-6, rtol=1e-3)


def test_gaps_of_sharp_margins_are_the_metric(texts: TaskTexts) -> None:
    batch = batch_of(texts)
    margin = 200.0 * (torch.rand(2, len(batch), generator=torch.Generator().manual_seed(2)) - 0.5)
    answers = Answers(
        torch.stack([-margin, margin], -1)[:, :, None].expand(-1, -1, 2, -1) / 2, *[margin[..., None]] * 3
    )
    objective = Objective("result", [{"lambda_fair": 1.0}] * 2, Options(), 64, 2, [0, 0])
    fair = objective.loss(lambda given: answers, batch, ALL) - objective.loss(lambda given: answers, batch, ALL, False)
    often = torch.sigmoid(margin).repeat(1, 10), batch.labels.repeat(10), batch.groups.repeat(10)  # every group counts
    expected = point_values(*often, 2, metrics=("fair_res@1",))["fair_res@1"]
    torch.testing.assert_close(fair.double(), expected, atol=0.02, rtol=0)


def test_counterfactual_term_is_zero_where_the_text_does_not_move(
    texts: TaskTexts, lanes: tuple[AdapterLanes, Tensor]
) -> None:
    from dataclasses import replace

    batch = batch_of(texts)
    still = replace(batch, moved=batch.given)
    plain, _ = gradient(lanes, batch, "utility", [{}, {}])
    same, _ = gradient(lanes, still, "procedural", [{"lambda_cf": 3.0}] * 2)
    more, _ = gradient(lanes, batch, "procedural", [{"lambda_cf": 3.0}] * 2)
    torch.testing.assert_close(same, plain, atol=1e-6, rtol=0)
    assert bool((more > plain).all())


def test_gradient_attributions_are_gradient_times_activation(
    texts: TaskTexts, lanes: tuple[AdapterLanes, Tensor]
) -> None:
    batch = batch_of(texts, rows=8)
    options = Options(attribution="gradient")
    loss, _ = gradient(lanes, batch, "procedural", [{"lambda_attention": 1.0}] * 2, options)
    plain, _ = gradient(lanes, batch, "utility", [{}, {}])
    shares = []
    for lane in range(2):
        hidden = batch.given.hidden.clone().requires_grad_()
        one = slice(lane, lane + 1)
        margin = lanes[0].answers(lanes[1][one], one, batch.given._replace(hidden=hidden)).margin
        (slope,) = torch.autograd.grad(margin.sum(), hidden)
        shares.append(by_column((slope * hidden).abs().sum(-1)[None], batch.given.columns, batch.n_columns)[0].detach())
    metric = att_jsd(profiles(torch.stack(shares), batch.groups, 2), torch.ones(2, dtype=torch.bool))
    torch.testing.assert_close((loss - plain).double(), metric, atol=1e-5, rtol=1e-3)


def test_reward_by_hand() -> None:
    margins = torch.tensor([[math.log(3.0), 0.0]])  # p(yes) = 3/4, 1/2
    torch.testing.assert_close(expected_reward(margins, torch.tensor([1.0, 0.0])), torch.tensor([[0.5, 0.0]]))
    torch.testing.assert_close(expected_reward(margins, torch.tensor([0.0, 1.0])), torch.tensor([[-0.5, 0.0]]))
    kl = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    torch.testing.assert_close(bernoulli_kl(margins, torch.zeros(2)), torch.tensor([[kl, 0.0]]))


def test_kl_pulls_the_reward_back_to_the_base(texts: TaskTexts, lanes: tuple[AdapterLanes, Tensor]) -> None:
    from dataclasses import replace

    batch = replace(batch_of(texts), base=torch.zeros(32))
    plain, without = gradient(lanes, batch, "utility", [{}, {}], Options("reward"))
    held, found = gradient(lanes, batch, "utility", [{}, {}], Options("reward", kl=0.5))
    assert bool((held > plain).all()) and not torch.equal(found, without)


@pytest.mark.parametrize("options", [{"kl": 0.1}, {"kl": -1.0, "utility_loss": "reward"}, {"attribution": "guess"}])
def test_options_that_mean_nothing_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"kl|attribution"):
        Options(**options)  # type: ignore[arg-type]


def test_divergence_of_opposite_answers_is_one() -> None:
    values = margin_divergence(torch.tensor([30.0, 0.0, 1.0]), torch.tensor([-30.0, 0.0, 1.0]))
    torch.testing.assert_close(values, torch.tensor([1.0, 0.0, 0.0]), atol=1e-5, rtol=0)


def test_token_values_add_up_by_column() -> None:
    columns = torch.tensor([[0, 0, 1, -1], [1, -1, -1, -1]], dtype=torch.int16)
    values = torch.tensor([[[1.0, 2.0, 4.0, 8.0], [3.0, 9.0, 9.0, 9.0]]])
    assert by_column(values, columns, 3).tolist() == [[[3.0, 4.0, 0.0], [0.0, 3.0, 0.0]]]
