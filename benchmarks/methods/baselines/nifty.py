"""NIFTY: fair and stable node representations by similarity of perturbed and of counterfactual graphs.

Agarwal, Lakkaraju and Zitnik, Towards a Unified Framework for Fair and Stable Graph Representation Learning, UAI 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._graph import PUBLISHED, TUNED, GCNLayer, NodeClassifier, loss_of, scales, smoothed
from benchmarks.methods.baselines._graph_operators import gcn_operator
from benchmarks.methods.baselines._graph_training import adam, seeded, train
from benchmarks.methods.graph_model import GraphModel
from experts.graph.adjacency import from_sorted, positions, rows_of
from foundation.seeding import torch_generator
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

STATED: Mapping[str, Any] = {"similarity": 0.6, "drop_edge": 0.001, "drop_feature": 0.1}
"""λ and the rates of perturbation that the paper uses."""


def published(dataset: str) -> Params:  # noqa: ARG001
    """The settings of the paper; they are the same for all data sets."""
    return {**PUBLISHED, **STATED}


def space() -> Mapping[str, BaseDistribution]:
    """Step size, weight of the similarity and the two rates of perturbation."""
    from optuna.distributions import FloatDistribution

    return {
        "lr": FloatDistribution(1e-3, 3e-2, log=True),
        "similarity": FloatDistribution(0.0, 0.95),
        "drop_edge": FloatDistribution(1e-3, 2e-1, log=True),
        "drop_feature": FloatDistribution(0.0, 0.3),
    }


def fit(view: TaskView, params: Params, seed: int) -> GraphModel:
    """NIFTY around a GCN whose weights have spectral norm 1; the same loss of the validation nodes chooses the epoch.

    The perturbed graphs of the validation nodes are drawn once, so that epochs can be compared.
    """
    settings = {**TUNED, **STATED, "epochs": 120, **params}
    with seeded(seed, "weights"):
        model = normed_classifier(view.features.shape[1], settings)
        predictor = _spectral(nn.Linear(settings["hidden"], settings["hidden"]))
    generator, optimiser = torch_generator(seed, "perturbation"), adam([model, predictor], settings)
    training = Perturbed(view, view.split.train, settings, generator)
    watched = Perturbed(view, view.split.validation, settings, generator)
    labels, others, fixed = view.labels[training.rows], view.labels[watched.rows], watched.draw()

    weight = settings["similarity"]

    def step(epoch: int) -> None:  # noqa: ARG001
        optimiser.zero_grad()
        objective(model, predictor, training.draw(), labels, weight, generator).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    def judge() -> float:
        return float(objective(model, predictor, fixed, others, weight))

    train([model, predictor], settings["epochs"], step, judge)
    propagate = smoothed(view, settings)
    return GraphModel.of_view(
        view, model, model, family="gcn", seed=seed, settings=settings, propagate=propagate, network="normed gcn"
    )


def objective(
    model: NodeClassifier,
    predictor: nn.Module,
    graphs: tuple[Tensor, Tensor],
    labels: Tensor,
    weight: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """(1 - λ) L_c + λ L_s of nodes with propagated features in two graphs and labels [r]; λ is ``weight``."""
    hidden = [model.hidden(graph) for graph in graphs]
    classified = torch.stack([loss_of(model.margins(h, generator), labels) for h in hidden]).mean()
    alike = dissimilarity(predictor, hidden[0], hidden[1])
    return (1 - weight) * classified + weight * alike


def dissimilarity(predictor: nn.Module, one: Tensor, other: Tensor) -> Tensor:
    """Mean of 1 - cosine between t(z) and the other graph's z', in which no gradient flows, both ways (eq. 5)."""
    there = 1 - cosine_similarity(predictor(one), other.detach(), dim=1).mean()
    back = 1 - cosine_similarity(predictor(other), one.detach(), dim=1).mean()
    return (there + back) / 2


class Perturbed:
    """Propagated features of some nodes in randomly perturbed graphs.

    In every drawn graph an edge is missing with the rate ``drop_edge``, and a feature, other than the sensitive ones,
    is shifted with the rate ``drop_feature`` by a standard normal number. In the second graph every node is a member
    of the next group. Only edges of the receptive field of the nodes are worked on.
    """

    def __init__(self, view: TaskView, rows: Tensor, settings: Params, generator: torch.Generator) -> None:
        self.rows, self._settings, self._generator = rows, settings, generator
        operator = rows_of(gcn_operator(view), rows)
        self._shape = (len(rows), operator.shape[1])
        self._places = positions(operator)
        self._ends = rows[self._places[0]], self._places[1]
        self._edges, self._edge_of = _edge_numbers(view, torch.stack(self._ends))
        self._degrees = torch.bincount(self._edges.flatten(), minlength=self._shape[1]) + 1
        self._flipped = torch.zeros(view.features.shape[1], dtype=torch.bool) if view.flip is None else view.flip.mask
        self._table = _table(view, self._flipped, scales(view, settings))

    def draw(self) -> tuple[Tensor, Tensor]:
        """[r, d] propagated features in a perturbed graph, and in another one where all nodes change their group."""
        return self._one(flip=False), self._one(flip=True)

    def _one(self, *, flip: bool) -> Tensor:
        features = len(self._flipped)
        table = self._operator() @ self._table
        propagated: Tensor = table[:, :features] + table[:, -1:] * self._shift()
        if flip:
            propagated[:, self._flipped] = table[:, features:-1]
        return propagated

    def _operator(self) -> Tensor:
        """[r, n] rows of Â of the graph without the dropped edges."""
        kept = torch.rand(self._edges.shape[1], generator=self._generator) >= self._settings["drop_edge"]
        lost = torch.bincount(self._edges[:, ~kept].flatten(), minlength=self._shape[1])
        weight = (self._degrees - lost).float().rsqrt()
        always = torch.cat([kept, torch.ones(1, dtype=torch.bool)])  # the last one stands for self-loops
        values = always[self._edge_of] * weight[self._ends[0]] * weight[self._ends[1]]
        return from_sorted(self._places, values, self._shape)

    def _shift(self) -> Tensor:
        """[d] what is added to the features of all nodes."""
        features = len(self._flipped)
        chosen: Tensor = torch.rand(features, generator=self._generator) < self._settings["drop_feature"]
        return torch.randn(features, generator=self._generator) * (chosen & ~self._flipped)


def _edge_numbers(view: TaskView, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Edges [2, m] of a task, and for pairs of nodes [2, e] the number of their edge; m for a node and itself."""
    assert view.edges is not None  # the operator was made of them
    nodes = len(view.features)
    keys = torch.unique(view.edges.amin(0) * nodes + view.edges.amax(0))
    number = torch.searchsorted(keys, ends.amin(0) * nodes + ends.amax(0))
    return torch.stack([keys // nodes, keys % nodes]), torch.where(ends[0] == ends[1], len(keys), number)


def _table(view: TaskView, flipped: Tensor, scale: Tensor) -> Tensor:
    """[n, d + f + 1] features, the f sensitive ones after a change of group, and ones."""
    features, other = view.features * scale, torch.zeros(len(view.features), 0)
    if view.flip is not None:
        following = (view.groups + 1) % len(view.group_names)
        other = (view.flip.values * scale)[following][:, flipped]
    return torch.cat([features, other, torch.ones(len(features), 1)], dim=1)


def normed_classifier(features: int, settings: Params) -> NodeClassifier:
    """A GCN with drawn weights, all of spectral norm 1."""
    model = NodeClassifier(_normed_layer(features, settings["hidden"]), settings)
    model.head = _spectral(model.head)
    return model


def _normed_layer(features: int, hidden: int) -> GCNLayer:
    layer = GCNLayer(features, hidden)
    layer.conv.lin = _spectral(nn.Linear(features, hidden, bias=False))  # type: ignore[assignment]
    return layer


def _spectral(linear: nn.Linear) -> nn.Linear:
    """The layer with Glorot weights, divided by their largest singular value in every pass."""
    nn.init.xavier_uniform_(linear.weight)
    nn.utils.parametrizations.spectral_norm(linear)  # changes the layer and returns it
    return linear


METHOD = Baseline(
    label="NIFTY",
    about="GCN alike under changed edges, features and groups",
    family="gcn",
    reference="Agarwal et al., Towards a Unified Framework for Fair and Stable Graph Representation Learning, UAI 2021",
    fit=fit,
    space=space,
    fair=True,
    graph=True,
    published=published,
    colour="orange",
    explainer="occlusion",
    place=140,
    levels=(("rival", "plain"),),
)
