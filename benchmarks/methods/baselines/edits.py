"""EDITS-style pre-processing, then a plain GCN (Dong, Liu, Jalaian and Li, WWW 2022).

EDITS measures the bias of a graph by the Wasserstein-1 distance between the groups, attribute by attribute: of the
attributes as they are, and of attributes that were propagated over one and two hops. It then changes attributes and
edges so that the distance falls while both stay close to the data, and trains any model on what it made.

What is as in the paper: the distances, a weight per attribute with the attributes of smallest weight removed, edge
weights in [0, 1] by projected gradient descent, only training rows' groups. What differs: distances are computed by
matching quantiles instead of by a trained critic, which also makes the attributes' weights a closed form; edge weights
stay numbers instead of being cut to 0 or 1 (cut, the distance rises again on bail and credit); and no edge is added,
because the candidates are all pairs of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as loss

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._graph_operators import gcn_operator, undirected
from benchmarks.methods.baselines._graph_training import adam, train
from benchmarks.methods.baselines._linear_gcn import LinearGCN, weighted_operator
from benchmarks.methods.graph_model import GraphError, GraphModel
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

HOPS = 2
"""Hops over which the propagated attributes are compared."""
EDGE_STEPS = 5
"""Gradient steps on edge weights."""
TUNED = {"epochs": 300, "weight_decay": 1e-5}
PUBLISHED = {"removed": 4, "rewiring": 1.0, "epochs": 1000, "lr": 1e-3, "weight_decay": 1e-5}


def wasserstein(values: Tensor, member: Tensor) -> tuple[Tensor, Tensor]:
    """Wasserstein-1 distance between members and others, per column, and its gradient.

    Parameters
    ----------
    values : [r, d] float
    member : [r] bool
        At least one row is a member and one is not.

    Returns
    -------
    distance : [d]
        Mean absolute difference of quantiles. Each row is matched with the other side's value at its own mid-quantile;
        the mean over both sides. Exact when both sides have as many rows.
    gradient : [r, d]
        Of the distance by the values, the matched values held fixed on their own side.
    """
    sides = [values[member], values[~member]]
    sorted_, orders = zip(*(side.sort(0) for side in sides), strict=True)
    distance, gradient = values.new_zeros(values.shape[1]), torch.zeros_like(values)
    for own, other, order, rows in zip(sorted_, sorted_[::-1], orders, (member, ~member), strict=True):
        quantile = (torch.arange(len(own)) + 0.5) / len(own)
        difference = own - other[(quantile * len(other)).long()]
        distance += difference.abs().mean(0) / 2
        gradient[rows] = torch.zeros_like(own).scatter_(0, order, difference.sign() / len(own))
    return distance, gradient


def bias(values: Tensor, groups: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Distance per column [d] and gradient [r, d] between groups [r]: each but the first against all others.

    Raises
    ------
    ValueError
        If a group has no row.
    """
    members = [groups == k for k in range(1, count)]
    if not all(0 < int(m.sum()) < len(m) for m in members):
        raise ValueError("EDITS compares groups on training rows, and a group has none. Use a split or task with all.")
    distances, gradients = zip(*(wasserstein(values, m) for m in members), strict=True)
    return torch.stack(distances).mean(0), torch.stack(gradients).mean(0)


def unit_columns(features: Tensor) -> Tensor:
    """[n, d] columns of length 1 (a column of zeros stays), so that distances of columns can be compared."""
    lengths: Tensor = features.norm(dim=0)
    return features / lengths.clamp_min(1e-12)


def attribute_bias(view: TaskView) -> Tensor:
    """[d] distance between the groups of training rows, summed over 0, 1 and 2 hops, of columns of length 1.

    The paper minimises the sum of θ_m · distance_m + μ · (1 − θ_m)² over weights θ in [0, 1]. Distances are linear in
    θ, so θ_m = max(0, 1 − distance_m / 2μ): whatever μ is, the smallest weights belong to the largest distances.
    """
    matrix = gcn_operator(view)
    propagated, total = unit_columns(view.features), torch.zeros(view.features.shape[1])
    train, count = view.split.train, len(view.group_names)
    for hop in range(HOPS + 1):
        propagated = matrix @ propagated if hop else propagated
        total += bias(propagated[train], view.groups[train], count)[0]
    return total


def without_attributes(view: TaskView, removed: int) -> Tensor:
    """[d] 0 for the ``removed`` attributes of largest bias (at least one stays), 1 for the others."""
    distances = attribute_bias(view)
    kept = torch.ones(len(distances))
    kept[distances.argsort(descending=True)[: min(removed, len(distances) - 1)]] = 0
    return kept


def edge_weights(view: TaskView, kept: Tensor, rewiring: float) -> Tensor:
    """Weights of the edges under which propagated attributes of the groups are closer.

    Parameters
    ----------
    view : TaskView
    kept : [d]
        Attributes that count.
    rewiring : float
        Largest weight, in [0, 1], that all steps together take from an edge if they are as large as the first.

    Returns
    -------
    [m] in [0, 1], at which the bias is smallest among the steps (the first has all weights 1).
    """
    features = unit_columns(view.features) * kept
    weights = torch.ones(undirected(view).shape[1] // 2)
    if rewiring == 0:
        return weights
    found: list[tuple[float, Tensor]] = []
    scale = 0.0
    for _ in range(EDGE_STEPS):
        value, gradient = _structural_bias(view, features, weights)
        found.append((value, weights))
        scale = scale or rewiring / EDGE_STEPS / max(float(gradient.abs().max()), 1e-12)
        weights = (weights - scale * gradient).clamp(0, 1)
    found.append((_structural_bias(view, features, weights)[0], weights))
    return min(found, key=lambda pair: pair[0])[1]


def _structural_bias(view: TaskView, features: Tensor, weights: Tensor) -> tuple[float, Tensor]:
    """Summed distance over 1 and 2 hops, and its gradient by edge weights [m] with the degrees held fixed."""
    both, rows, count = undirected(view), view.split.train, len(view.group_names)
    matrix = weighted_operator(view, weights)
    hops = [features]
    for _ in range(HOPS):
        hops.append(matrix @ hops[-1])
    degree = torch.ones(len(features)).index_add_(0, both[0], weights.repeat(2))
    factor = (degree[both[0]] * degree[both[1]]).rsqrt()
    total, gradient, upstream = 0.0, torch.zeros(len(weights)), torch.zeros_like(features)
    for hop in range(HOPS, 0, -1):
        distance, local = bias(hops[hop][rows], view.groups[rows], count)
        total += float(distance.sum())
        upstream[rows] += local
        carried = factor * (upstream[both[0]] * hops[hop - 1][both[1]]).sum(1)
        gradient += carried.view(2, -1).sum(0)  # an undirected edge carries values both ways
        upstream = matrix @ upstream  # the matrix is symmetric
    return total, gradient


@dataclass(frozen=True, eq=False)
class Reweighted:
    """Features propagated along the edges [2, m] of one graph, which have weights [m] of their own."""

    edges: Tensor
    weights: Tensor
    kind: ClassVar[str] = "reweighted"
    _made: dict[int, Tensor] = field(default_factory=dict, repr=False)

    def __call__(self, task: TaskView) -> Tensor:
        """[n, d] propagated features.

        Raises
        ------
        GraphError
            If the task has another graph: nothing is known of the weights of its edges.
        """
        if task.edges is None or not torch.equal(undirected(task)[:, : self.edges.shape[1]], self.edges):
            raise GraphError(
                f"This EDITS model learnt a weight for each edge of one graph and is asked about task {task.name} with "
                "another graph; it answers for that graph alone. Give it the nodes and edges that it was fitted on, or "
                "fit it again on this task."
            )
        nodes = len(task.features)
        if nodes not in self._made:
            self._made[nodes] = weighted_operator(task, self.weights)
        return self._made[nodes] @ task.features

    def tensors(self) -> dict[str, Tensor]:
        """Edges and their weights."""
        return {"edges": self.edges, "weights": self.weights}


def fit(view: TaskView, params: Params, seed: int) -> GraphModel:
    """Debias attributes and edges, then train a GCN on training rows; validation loss chooses the epoch."""
    settings = {**TUNED, **params}
    kept = without_attributes(view, settings["removed"])
    weights = edge_weights(view, kept, settings["rewiring"])
    propagate = Reweighted(undirected(view)[:, : len(weights)], weights)
    model = LinearGCN.drawn(kept, seed, glorot=True)
    _train(model, propagate(view), view, settings)
    return GraphModel.of_view(
        view, model, model, family="gcn", seed=seed, settings=settings, propagate=propagate, network="linear gcn"
    )


def _train(model: LinearGCN, propagated: Tensor, view: TaskView, settings: Params) -> None:
    optimiser = adam([model], settings)
    parts = {part: getattr(view.split, part) for part in ("train", "validation")}
    x = {part: propagated[rows] for part, rows in parts.items()}
    y = {part: view.labels[rows].float() for part, rows in parts.items()}

    def step(epoch: int) -> None:  # noqa: ARG001
        optimiser.zero_grad()
        torch.autograd.backward(loss(model(x["train"]), y["train"]))
        optimiser.step()

    train([model], settings["epochs"], step, lambda: float(loss(model(x["validation"]), y["validation"])))


def space() -> Mapping[str, BaseDistribution]:
    """Attributes removed, how far edges may lose weight, learning rate."""
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        "removed": IntDistribution(0, 8),
        "rewiring": FloatDistribution(0.0, 1.0),
        "lr": FloatDistribution(1e-3, 3e-2, log=True),
    }


def published(dataset: str) -> Params:  # noqa: ARG001
    """Settings of the paper's repository: the same for its three data sets but for the cut of edges, left out here."""
    return PUBLISHED


METHOD = Baseline(
    label="EDITS",
    about="attributes and edges changed, then a GCN",
    family="gcn",
    reference="Dong, Liu, Jalaian, Li: EDITS: Modeling and Mitigating Data Bias for Graph Neural Networks, WWW 2022",
    fit=fit,
    space=space,
    fair=True,
    graph=True,
    published=published,
    colour="orange",
    explainer="occlusion",
    place=160,
    levels=(("rival", "plain"),),
)
