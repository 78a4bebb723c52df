"""Lanes beside the same training written as one PyTorch module per trial.

Run with ``python -m benchmarks.speed training`` (``--large`` adds one million rows). One thread, sides interleaved,
medians of CPU time. Both sides have the same network, losses, optimiser, clipping, evaluations and batches; the
baseline is an ordinary loop with ``nn.Dropout``, and integrated gradients by 50 steps with a graph. Goals per trial:
utility and result roles 60 times faster at german's 500 training rows, 10 times at bail's 9,438; procedural role 300
times per step against captum, with a divergence equal to 1e-6; a million rows 10 times a DataLoader loop per model and
row, below 8 GiB.
"""

from __future__ import annotations

import itertools
import resource
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, leaky_relu
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.speed.timing import interleaved
from experts.expert import Role
from experts.networks.integrated_gradients import by_column, column_indicator, lane_attributions
from experts.networks.lanes import SLOPE, LaneParameters
from experts.networks.trainer import OBJECTIVES, Budget, LaneConfig, train_lanes
from experts.scores import OUTCOME_METRICS
from foundation.seeding import numpy_generator
from metrics.counts.rates import SELECTION_RATE, TRUE_POSITIVE_RATE, gap
from metrics.points import point_values
from metrics.procedural.attribution import att_jsd, profiles
from metrics.surrogates import SHARPNESS, jensen_shannon
from tasks.arrays import view_of_arrays
from tasks.load import load_task
from tasks.task import TaskView

LANES = 50
IG_STEPS = 50
LR = 1e-3
LAMBDA = 0.5
EVAL_EVERY = 100
Rows = tuple[Tensor, Tensor, Tensor]  # features, labels, groups
Loss = Callable[[nn.Sequential, Rows], Tensor]
Gradients = Callable[[nn.Sequential, Tensor], Tensor]


def network(d: int, hidden: int = 16, dropout: float = 0.3) -> nn.Sequential:
    """The lanes' network as a module."""
    return nn.Sequential(nn.Linear(d, hidden), nn.LeakyReLU(SLOPE), nn.Dropout(dropout), nn.Linear(hidden, 1))


def utility_loss(net: nn.Sequential, rows: Rows) -> Tensor:
    """Cross-entropy."""
    return binary_cross_entropy_with_logits(net(rows[0]).squeeze(1), rows[1].float())


class ResultLoss:
    """Cross-entropy, distance of the groups' mean hidden rows, plain and sharpened soft gaps."""

    def __init__(self, view: TaskView) -> None:
        _, labels, groups = training_rows(view)
        self.weights = [r.weights(labels, groups, len(view.group_names)) for r in (SELECTION_RATE, TRUE_POSITIVE_RATE)]

    def __call__(self, net: nn.Sequential, rows: Rows) -> Tensor:
        """The loss of a full batch."""
        margins: Tensor = net(rows[0]).squeeze(1)
        loss: Tensor = binary_cross_entropy_with_logits(margins, rows[1].float())
        centres = (net[0](rows[0])).T @ self.weights[0]
        loss = loss + LAMBDA * (centres[:, 0] - centres[:, 1]).square().mean()
        for p in (torch.sigmoid(margins), torch.sigmoid(SHARPNESS * margins)):
            for weights in self.weights:
                loss = loss + LAMBDA * gap(p @ weights) / 4
        return loss


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: object, values: Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    def backward(_ctx: object, *upstream: Tensor) -> Tensor:
        return -LAMBDA / 2 * upstream[0]


class ProceduralLoss:
    """Cross-entropy, divergence of 50-step integrated gradients, two adversaries with their own optimiser."""

    def __init__(self, view: TaskView, rows: int, gradients: Gradients, hidden: int = 16) -> None:
        groups = view.groups[view.split.train][:rows]
        members = nn.functional.one_hot(groups, len(view.group_names)).float()
        self.members = members / members.sum(0)
        self.indicator = column_indicator(view.column_of_feature, len(view.columns))
        self.of_hidden = nn.Sequential(nn.Linear(hidden, 8), nn.LeakyReLU(SLOPE), nn.Linear(8, 1))
        self.of_probability = nn.Sequential(nn.Linear(1, 8), nn.LeakyReLU(SLOPE), nn.Linear(8, 1))
        parameters = itertools.chain(self.of_hidden.parameters(), self.of_probability.parameters())
        self.optimiser = torch.optim.Adam(parameters, lr=1e-2)
        self.rows = rows
        self.gradients = gradients

    def __call__(self, net: nn.Sequential, rows: Rows) -> Tensor:
        """The loss of a full batch; the adversaries step with the gradients of the step before."""
        self.optimiser.step()
        self.optimiser.zero_grad()
        x, groups = rows[0][: self.rows], rows[2][: self.rows, None].float()
        hidden = net[0](x)
        probability = torch.sigmoid(net[3](leaky_relu(hidden, SLOPE)))
        profile = by_column(self.gradients(net, x), self.indicator).abs()
        means = self.members.T @ (profile / (profile.sum(1, keepdim=True) + 1e-8)) + 1e-8
        loss = utility_loss(net, rows) + LAMBDA * jensen_shannon(means[0], means[1])
        for adversary, values in ((self.of_hidden, hidden), (self.of_probability, probability)):
            reversed_values = _Reverse.apply(values)  # type: ignore[no-untyped-call]
            loss = loss + binary_cross_entropy_with_logits(adversary(reversed_values), groups)
        return loss


def stepwise_gradients(net: nn.Sequential, x: Tensor, *, create_graph: bool = False) -> Tensor:
    """[n, d] integrated gradients by the midpoint rule in one pass over steps · n rows: the fast way to take steps."""
    places = (torch.arange(IG_STEPS) + 0.5) / IG_STEPS
    points = (places[:, None, None] * x).reshape(-1, x.shape[1]).requires_grad_()
    margins = net[3](leaky_relu(net[0](points), SLOPE))
    (gradient,) = torch.autograd.grad(margins.sum(), points, create_graph=create_graph)
    return gradient.view(IG_STEPS, *x.shape).mean(0) * x


def captum_gradients(net: nn.Sequential, x: Tensor) -> Tensor:
    """[n, d] captum's integrated gradients with a graph (captum's own have none, and train nothing)."""
    from captum.attr import IntegratedGradients

    def gradients(forward_fn: Callable[[Tensor], Tensor], inputs: tuple[Tensor], **_: object) -> tuple[Tensor, ...]:
        return torch.autograd.grad(torch.unbind(forward_fn(inputs[0])), inputs, create_graph=True)

    explainer: Any = IntegratedGradients(lambda z: net[3](leaky_relu(net[0](z), SLOPE)).squeeze(1))
    explainer.gradient_func = gradients  # as captum's, with create_graph
    attributions: Tensor = explainer.attribute(x, n_steps=IG_STEPS)
    return attributions


def training_rows(view: TaskView) -> Rows:
    """Features, labels and groups of the training part."""
    rows = view.split.train
    return view.features[rows], view.labels[rows], view.groups[rows]


def train_module(view: TaskView, loss: Loss, batches: Iterable[Rows], steps: int, eval_every: int) -> nn.Sequential:
    """One trial: the loop that anyone would write."""
    net = network(view.features.shape[1])
    optimiser = torch.optim.Adam(net.parameters(), lr=LR, weight_decay=1e-5)
    for step, rows in enumerate(itertools.islice(batches, steps), 1):
        net.train()
        optimiser.zero_grad()
        loss(net, rows).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        if step % eval_every == 0:
            evaluate(net, view)
    return net


@torch.no_grad()
def evaluate(net: nn.Module, view: TaskView) -> dict[str, Tensor]:
    """Validation metrics of one trial."""
    net.eval()
    rows = view.split.validation
    probability = torch.sigmoid(net(view.features[rows])).T
    labels, groups = view.labels[rows], view.groups[rows]
    return point_values(probability, labels, groups, len(view.group_names), metrics=OUTCOME_METRICS)


def lanes(view: TaskView, role: Role, steps: int, eval_every: int, batch_rows: int, count: int = LANES) -> None:
    """The same trials as lanes."""
    lambdas = dict.fromkeys(OBJECTIVES[role].lambdas, LAMBDA)
    configs = [LaneConfig(LR, 1e-5, lambdas, seed) for seed in range(count)]
    budget = Budget(steps, eval_every, patience=steps, warm_up=0, batch_rows=batch_rows, rungs=())
    train_lanes(view, role, configs, budget, seed=0)


def compare(view: TaskView, role: Role, loss: Loss, goal: str, steps: tuple[int, int], rounds: int) -> None:
    """Print how many times faster a lane is than a trial, per step; ``steps`` are the lanes' and the baseline's."""
    n = len(view.split.train)
    whole = itertools.repeat(training_rows(view))
    fast = partial(lanes, view, role, steps[0], EVAL_EVERY, n)
    slow = partial(train_module, view, loss, whole, steps[1], EVAL_EVERY)
    found = interleaved(fast, slow, rounds)
    print(
        f"{view.name} {role}, {n} rows: lane {found.median_a / LANES / steps[0] * 1e3:.4f} ms per step, module "
        f"{found.median_b / steps[1] * 1e3:.3f} ms, {found.ratio * LANES * steps[0] / steps[1]:.1f} times faster "
        f"({goal})",
        flush=True,
    )


def divergences(view: TaskView) -> None:
    """Print how far the attribution divergence by 50 steps is from the exact one, on a trained network."""
    net = train_module(view, utility_loss, itertools.repeat(training_rows(view)), 300, 300)
    rows = view.split.validation
    x, groups = view.features[rows], view.groups[rows]
    indicator = column_indicator(view.column_of_feature, len(view.columns))
    known = torch.ones(len(view.group_names), dtype=torch.bool)
    for text, share in (("with biases", 1.0), ("without biases, as the earlier system had it", 0.0)):
        with torch.no_grad():
            next(itertools.islice(net.parameters(), 1, None)).mul_(share)
        both = by_column(torch.cat([lane_attributions(as_lane(net), x), captum_gradients(net, x)[None]]), indicator)
        exact, steps = att_jsd(profiles(both.detach(), groups, len(view.group_names)), known).tolist()
        print(
            f"{view.name} ATT_JSD {text}: exact {exact:.8f}, captum's {IG_STEPS} steps {steps:.8f}, "
            f"{abs(exact - steps):.1e} apart"
        )


def as_lane(net: nn.Sequential) -> LaneParameters:
    """A module's weights as one lane."""
    weight, bias, second, offset = (parameter.detach() for parameter in net.parameters())
    theta = torch.cat([torch.cat([weight, bias[:, None]], 1).flatten(), second.flatten(), offset])
    return LaneParameters(theta[None], weight.shape[1], weight.shape[0])


def million(rows: int = 1_000_000, d: int = 64, batch_rows: int = 1024, steps: tuple[int, int] = (200, 100)) -> None:
    """Print the cost per model and row on a million rows, against a DataLoader loop, and the peak memory."""
    random = numpy_generator(0, "million")
    x = random.standard_normal((rows, d), dtype="float32").astype("float64")
    y = (x[:, 0] + random.standard_normal(rows) > 0).astype("int64")
    cut = rows - 10_000
    order = random.permutation(rows)
    view = view_of_arrays(x, y, (x[:, 1] > 0).astype("int64"), order[:cut], order[cut:], name="million")
    del x
    loader = DataLoader(TensorDataset(*training_rows(view)), batch_size=batch_rows, shuffle=True)
    batches: Iterable[Rows] = itertools.chain.from_iterable(itertools.repeat(loader))
    fast = partial(lanes, view, "utility", steps[0], steps[0], batch_rows)
    slow = partial(train_module, view, utility_loss, batches, steps[1], steps[1])
    found = interleaved(fast, slow, 3)
    own, other = found.median_a / LANES / steps[0] / batch_rows, found.median_b / steps[1] / batch_rows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{rows} rows, {d} features, batches of {batch_rows}: lane {own * 1e6:.3f} µs per row, DataLoader loop "
        f"{other * 1e6:.2f} µs, {found.ratio * LANES * steps[0] / steps[1]:.1f} times faster (goal 10); "
        f"peak memory {peak:.2f} GiB (goal < 8)"
    )


def main(large: bool) -> None:
    """Print every comparison."""
    torch.set_num_threads(1)
    german, bail = load_task("german").view(), load_task("bail").view()
    sample = Budget().attribution_rows
    for view, goal, steps, rounds in ((german, "goal 60", (200, 200), 7), (bail, "goal 10", (20, 50), 5)):
        compare(view, "utility", utility_loss, goal, steps, rounds)
        compare(view, "result", ResultLoss(view), goal, steps, rounds)
        captum = ProceduralLoss(view, min(sample, len(view.split.train)), captum_gradients)
        compare(view, "procedural", captum, "goal 300, against captum with a graph", (20, 2), 3)
    by_pass = ProceduralLoss(
        german, min(sample, len(german.split.train)), partial(stepwise_gradients, create_graph=True)
    )
    compare(german, "procedural", by_pass, "no goal, against 50 steps in one pass", (20, 20), 3)
    divergences(german)
    if large:
        million()


if __name__ == "__main__":
    main("--large" in sys.argv[1:])
