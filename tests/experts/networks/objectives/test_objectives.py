from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from experts.expert import Role
from experts.networks.batches import Batch, TrainingRows
from experts.networks.group_profiles import ProfileRows, group_profiles
from experts.networks.integrated_gradients import by_column, column_indicator, lane_attributions
from experts.networks.lanes import SLOPE, DropoutMasks, LaneParameters, hidden
from experts.networks.objectives.adversary import Adversary
from experts.networks.objectives.objective import Forward, cross_entropy_gradient
from experts.networks.objectives.result import representation_distance
from experts.networks.trainer import OBJECTIVES, LaneConfig, make_objective
from metrics.counts.rates import SELECTION_RATE, TRUE_POSITIVE_RATE
from metrics.procedural.attribution import att_jsd, profiles
from metrics.surrogates import group_targets, profile_divergence, soft_rates
from tasks.task import TaskView

Views = Callable[..., TaskView]
EVERY_LAMBDA = [
    ("result", "lambda_rep"),
    ("result", "lambda_fair"),
    ("procedural", "lambda_attention"),
    ("procedural", "lambda_adv"),
]


def batch_of(view: TaskView, weights: Tensor | None = None) -> Batch:
    return TrainingRows(view, 32, weights, seed=0).next()


def gradient(view: TaskView, role: Role, lambdas: dict[str, float], weights: Tensor | None = None) -> Tensor:
    """[2, P] gradient of the whole loss; lane 1 has no λ."""
    configs = [LaneConfig(1e-3, 0.0, lambdas, 5), LaneConfig(1e-3, 0.0, {}, 5)]
    objective = make_objective(role, view, configs, 6, seed=1)
    batch = batch_of(view, weights)
    theta = LaneParameters.initial(view.features.shape[1], 6, [5, 5]).theta.requires_grad_()
    first, second, offset = LaneParameters(theta, view.features.shape[1], 6).split()
    mask = DropoutMasks(6, len(batch), 0.3, seed=2).next(len(batch))
    active = torch.nn.functional.leaky_relu(hidden(first, batch.rows), SLOPE) * mask
    margins = torch.bmm(second[:, None], active).squeeze(1) + offset
    loss = cross_entropy(margins, batch)
    if lambdas:
        loss = loss + objective.penalty(Forward(batch, first, second, offset, margins, slice(0, 2)))
    (found,) = torch.autograd.grad(loss.sum(), theta)
    return found


def cross_entropy(margins: Tensor, batch: Batch) -> Tensor:
    targets = batch.targets.expand_as(margins)
    losses = torch.nn.functional.binary_cross_entropy_with_logits(margins, targets, reduction="none")
    return losses.mean(1) if batch.relative_weights is None else (losses * batch.relative_weights).sum(1)


@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_gradient_is_that_of_the_loss_on_logits(make_view: Views, weighted: bool) -> None:
    weights = torch.rand(3, 150, generator=torch.Generator().manual_seed(0)) if weighted else None
    batch = batch_of(make_view(300), weights)
    margins = torch.randn(3, 150, generator=torch.Generator().manual_seed(1)).requires_grad_()
    (expected,) = torch.autograd.grad(cross_entropy(margins, batch).sum(), margins)
    torch.testing.assert_close(cross_entropy_gradient(margins.detach(), batch), expected)


@pytest.mark.parametrize("n_groups", [2, 3])
@pytest.mark.parametrize(("role", "name"), EVERY_LAMBDA)
def test_every_weight_moves_the_gradient_and_zero_adds_exactly_nothing(
    make_view: Views, role: Role, name: str, n_groups: int
) -> None:
    view = make_view(300, n_groups=n_groups)
    plain = gradient(view, "utility", {})
    fair = gradient(view, role, {name: 0.5})
    assert torch.equal(fair[1], plain[1])
    assert float((fair[0] - plain[0]).norm()) > 1e-4 * float(plain[0].norm())
    doubled = gradient(view, role, {name: 1.0})
    torch.testing.assert_close(doubled[0] - plain[0], 2 * (fair[0] - plain[0]), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("role", "name"), EVERY_LAMBDA)
def test_row_weights_of_zero_leave_rows_out_of_every_term(make_view: Views, role: Role, name: str) -> None:
    view = make_view(300)
    used = torch.arange(150) % 3 != 0
    weighted = gradient(view, role, {name: 0.5}, used.float().expand(2, 150))
    view.features[view.split.train[~used]] = 7.0  # rows without weight must not matter
    again = gradient(view, role, {name: 0.5}, used.float().expand(2, 150))
    torch.testing.assert_close(weighted, again, rtol=1e-4, atol=1e-6)


def test_every_role_names_the_published_weights() -> None:
    assert OBJECTIVES["utility"].lambdas == ()
    assert OBJECTIVES["result"].lambdas == ("lambda_rep", "lambda_fair")
    assert OBJECTIVES["procedural"].lambdas == ("lambda_attention", "lambda_adv")


def test_soft_rates_of_hard_predictions_are_the_metrics_rates(make_view: Views) -> None:
    batch = batch_of(make_view(300, n_groups=3))
    hard = (torch.rand(2, len(batch), generator=torch.Generator().manual_seed(0)) > 0.5).float()
    rates = soft_rates(hard, batch.rates, batch.known_rates)
    for index, rate in enumerate((SELECTION_RATE, TRUE_POSITIVE_RATE)):
        expected = hard @ rate.weights(batch.labels, batch.groups, 3)
        torch.testing.assert_close(rates[:, index], expected)


def test_soft_rates_mark_groups_without_positives(make_view: Views) -> None:
    view = make_view(300)
    view.labels[view.groups == 1] = 0
    batch = batch_of(view)
    rates = soft_rates(torch.full((1, 150), 0.5), batch.rates, batch.known_rates)
    assert rates.isnan().tolist() == [[[False, False], [False, True]]]


def test_representation_distance_is_the_distance_of_mean_hidden_rows(make_view: Views) -> None:
    batch = batch_of(make_view(300, n_groups=3))
    first = LaneParameters.initial(batch.rows.shape[1] - 1, 4, [1, 2]).split()[0]
    units = hidden(first, batch.rows)
    means = [units[..., batch.groups == group].mean(-1) for group in range(3)]
    pairs = [(means[a] - means[b]).square().mean(1) for a, b in ((0, 1), (0, 2), (1, 2))]
    torch.testing.assert_close(representation_distance(first, batch), torch.stack(pairs).amax(0))


@pytest.mark.parametrize("n_groups", [2, 3])
def test_attribution_divergence_is_the_metric(make_view: Views, n_groups: int) -> None:
    view = make_view(600, n_groups=n_groups)
    batch = batch_of(view)
    parameters = LaneParameters.initial(view.features.shape[1], 5, range(4))
    first, second, _ = parameters.split()
    indicator = column_indicator(view.column_of_feature, len(view.columns))
    rows = ProfileRows(batch.transposed, batch.members, None, indicator.T.contiguous())
    sums = group_profiles(hidden(first, batch.rows), first, second, rows)
    loss = profile_divergence(sums.mT, batch.known_rates[:n_groups])
    attributions = by_column(lane_attributions(parameters, batch.rows[:, :-1]), indicator)
    known = torch.ones(n_groups, dtype=torch.bool)
    metric = att_jsd(profiles(attributions, batch.groups, n_groups), known)
    torch.testing.assert_close(loss.double(), metric, rtol=0, atol=1e-6)


def test_divergence_of_hand_cases() -> None:
    known = torch.tensor([True, True])
    assert float(profile_divergence(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), known)) == pytest.approx(1.0, abs=1e-5)
    assert float(profile_divergence(torch.tensor([[[0.5, 0.5], [0.9, 0.1]]]), known)) == pytest.approx(
        0.146793, abs=1e-5
    )
    assert float(profile_divergence(torch.tensor([[[0.5, 0.5], [0.9, 0.1]]]), torch.tensor([True, False]))) == 0


def test_adversary_learns_alike_whatever_the_weight() -> None:
    g = torch.Generator().manual_seed(0)
    groups = torch.arange(200) % 2
    values = torch.randn(1, 3, 200, generator=g) + 2.0 * groups
    both = values.repeat(2, 1, 1).requires_grad_()
    adversary = Adversary(3, 4, 2, seeds=[9, 9], word="test")
    weight, targets = torch.tensor([1e-3, 10.0]), group_targets(groups, 2)
    losses = []
    for _ in range(60):
        losses.append(adversary.reversed_loss(both, weight, targets, None, slice(0, 2)).detach())
        adversary.step()
    assert torch.equal(losses[-1][0], losses[-1][1])
    assert float(losses[-1][0]) < 0.3 < float(losses[0][0])


@pytest.mark.parametrize(("n_groups", "weighted"), [(2, False), (3, False), (3, True)])
def test_adversary_gradients_equal_automatic_differentiation(n_groups: int, weighted: bool) -> None:
    g = torch.Generator().manual_seed(0)
    groups = torch.arange(30) % n_groups
    targets = group_targets(groups, n_groups)
    values = torch.randn(2, 3, 30, generator=g).requires_grad_()
    weights = torch.rand(2, 30, generator=g) if weighted else None
    adversary = Adversary(3, 4, n_groups, seeds=[1, 2], word="test")
    weight = torch.tensor([0.5, 2.0])
    theta = adversary._optimiser.theta.clone().requires_grad_()
    loss = adversary.reversed_loss(values, weight, targets, weights, slice(0, 2))
    loss.sum().backward()  # type: ignore[no-untyped-call]
    own, reversed_gradient = adversary._gradient.clone(), values.grad
    first, second = adversary._split(theta)
    free = values.detach().requires_grad_()
    active = torch.nn.functional.leaky_relu(first[..., -1:] + first[..., :-1] @ free, 0.01)
    scores = second[..., -1:] + second[..., :-1] @ active
    rows = torch.nn.functional.binary_cross_entropy_with_logits(
        scores, targets.expand_as(scores), reduction="none"
    ).sum(1)
    expected = rows.mean(1) if weights is None else (rows * weights).sum(1)
    expected.sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(own, theta.grad)
    assert free.grad is not None
    torch.testing.assert_close(reversed_gradient, -weight[:, None, None] * free.grad)
