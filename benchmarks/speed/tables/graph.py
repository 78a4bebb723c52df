"""Graph lanes beside the same training with torch_geometric's layers, one trial at a time.

Run with ``python -m benchmarks.speed graph``. One thread, sides interleaved, medians of CPU time. Both sides have the
same network, losses, optimiser, clipping and rows; the baseline is an ordinary loop of ``GCNConv`` on ``edge_index``,
which propagates anew in every epoch, plain and with ``cached=True`` (the normalised adjacency is kept). Goals per
trial and epoch with 50 lanes, on german and bail: 80 times faster with one layer, 30 times with two. Both sides do
optimiser steps only: evaluations, loading, and what is done to the graph once are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, leaky_relu

from benchmarks.speed.timing import interleaved
from experts.expert import Role
from experts.graph.inputs import graph_inputs
from experts.graph.settings import GraphSettings
from experts.networks.lanes import SLOPE
from experts.networks.trainer import OBJECTIVES, Budget, LaneConfig, LaneRun
from foundation.words import plural
from metrics.counts.rates import SELECTION_RATE, TRUE_POSITIVE_RATE, gap
from metrics.surrogates import SHARPNESS
from tasks.load import load_task
from tasks.task import TaskView

LANES = 50
LR = 1e-3
LAMBDA = 0.5
HIDDEN = 16
Loss = Callable[[Tensor, Tensor], Tensor]


class Network(nn.Module):
    """The lanes' network of torch_geometric layers."""

    def __init__(self, d: int, layers: int, *, cached: bool) -> None:
        from torch_geometric.nn import GCNConv

        super().__init__()
        convolution: Any = GCNConv  # its base class looks abstract to a type checker
        self.first = convolution(d, HIDDEN, cached=cached)
        self.second: Any = nn.Linear(HIDDEN, 1) if layers == 1 else convolution(HIDDEN, 1, cached=cached)
        self.dropout = nn.Dropout(0.3)

    def forward(self, x: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden pre-activations [n, h] and margins [n]."""
        units: Tensor = self.first(x, edges)
        active = self.dropout(leaky_relu(units, SLOPE))
        margins = self.second(active) if isinstance(self.second, nn.Linear) else self.second(active, edges)
        return units, margins.squeeze(1)


class Losses:
    """Losses of the utility and the result role on the training rows."""

    def __init__(self, view: TaskView) -> None:
        rows = view.split.train
        labels, groups = view.labels[rows], view.groups[rows]
        self.targets = labels.float()
        self.weights = [r.weights(labels, groups, len(view.group_names)) for r in (SELECTION_RATE, TRUE_POSITIVE_RATE)]

    def utility(self, _units: Tensor, margins: Tensor) -> Tensor:
        """Cross-entropy."""
        return binary_cross_entropy_with_logits(margins, self.targets)

    def result(self, units: Tensor, margins: Tensor) -> Tensor:
        """Cross-entropy, distance of the groups' mean hidden rows, plain and sharpened soft gaps."""
        centres = units.T @ self.weights[0]
        loss = self.utility(units, margins) + LAMBDA * (centres[:, 0] - centres[:, 1]).square().mean()
        for p in (torch.sigmoid(margins), torch.sigmoid(SHARPNESS * margins)):
            for weights in self.weights:
                loss = loss + LAMBDA * gap(p @ weights) / 4
        return loss


def module_steps(
    view: TaskView, edges: Tensor, loss: Loss, layers: int, steps: int, *, cached: bool
) -> Callable[[], None]:
    """One trial, the loop that anyone would write: so many steps of one module, set up before."""
    net = Network(view.features.shape[1], layers, cached=cached)
    optimiser = torch.optim.Adam(net.parameters(), lr=LR, weight_decay=1e-5)
    net(view.features, edges)  # fills the cache

    def work() -> None:
        for _ in range(steps):
            optimiser.zero_grad()
            units, margins = net(view.features, edges)
            loss(units[view.split.train], margins[view.split.train]).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()

    return work


def lane_steps(view: TaskView, role: Role, layers: int, steps: int) -> Callable[[], None]:
    """The same trials as lanes: so many steps of one program, set up before."""
    lambdas = dict.fromkeys(OBJECTIVES[role].lambdas, LAMBDA)
    configs = [LaneConfig(LR, 1e-5, lambdas, seed) for seed in range(LANES)]
    rows = len(view.split.train)
    budget = Budget(steps, steps, steps, warm_up=0, batch_rows=rows, hidden=HIDDEN, rungs=())
    graph = GraphSettings("gcn", 1 if layers == 1 else 2)
    run = LaneRun(graph_inputs(view, graph), role, configs, budget, 0, None, None, view.split.validation)

    def work() -> None:
        step = 0
        while step < steps:
            step = run.step(step + 1, steps)

    return work


def compare(view: TaskView, role: Role, layers: int, steps: tuple[int, int], rounds: int = 3) -> None:
    """Print how many times faster a lane is than a trial, per epoch; ``steps`` are the lanes' and the baseline's."""
    assert view.edges is not None
    edges = torch.cat([view.edges, view.edges.flip(0)], 1)
    losses = Losses(view)
    loss = losses.utility if role == "utility" else losses.result
    work = lane_steps(view, role, layers, steps[0])
    goal = {1: 80, 2: 30}[layers]
    text = []
    for cached in (False, True):
        slow = module_steps(view, edges, loss, layers, steps[1], cached=cached)
        found = interleaved(work, slow, rounds)
        ratio = found.ratio * LANES * steps[0] / steps[1]
        text.append(f"GCNConv{' cached' if cached else ''} {found.median_b / steps[1] * 1e3:.1f} ms, {ratio:.0f} times")
    own = found.median_a / LANES / steps[0] * 1e3
    title = f"{view.name} {role}, {plural(layers, 'layer')}"
    print(f"{title}: lane {own:.4f} ms per epoch; {'; '.join(text)} faster (goal {goal})", flush=True)


def main() -> None:
    """Print every comparison."""
    torch.set_num_threads(1)
    for name, fast, slow in (("german", (100, 20), 20), ("bail", (10, 5), 3)):
        view = load_task(name, with_edges=True).view()
        for layers in (1, 2):
            for role in ("utility", "result"):
                compare(view, role, layers, (fast[layers - 1], slow))


if __name__ == "__main__":
    main()
