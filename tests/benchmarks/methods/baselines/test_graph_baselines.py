"""Graph baselines: operators, masking in the whole graph, penalties, and fits that learn."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks.methods.baselines import _graph, _graph_operators, _graph_training, fairgnn, load_baseline, nifty
from benchmarks.methods.graph_model import GraphError, GraphModel
from experts.evidence import collect_evidence
from metrics.explainers.occlusion import occlusion_columns
from metrics.points import point_values
from tasks.load import load_task
from tasks.task import HIDDEN, Task, TaskView

METHODS = ("gcn", "gin", "nifty", "fairgnn")
FEW: dict[str, Any] = {"epochs": 15, "lr": 0.01}


@cache
def small() -> Task:
    """Simulated people with about six random friends each; the first has none."""
    task = load_task("scm", rows=300)
    generator = torch.Generator().manual_seed(0)
    ends = torch.randint(1, len(task.features), (2, 900), generator=generator)
    ends = ends[:, ends[0] != ends[1]].sort(0).values
    return dataclasses.replace(task, edges=torch.unique(ends, dim=1))


VIEW = small().view()


@cache
def fitted(method: str, seed: int = 0) -> GraphModel:
    model = load_baseline(method).fit(VIEW, FEW, seed)
    assert isinstance(model, GraphModel)
    return model


def everyone() -> Tensor:
    return torch.arange(len(VIEW.features))


def dense_normalised(edges: Tensor, nodes: int) -> Tensor:
    """Â by its definition."""
    adjacency = torch.eye(nodes)
    adjacency[edges[0], edges[1]] = adjacency[edges[1], edges[0]] = 1
    root = adjacency.sum(1).rsqrt()
    return root[:, None] * adjacency * root


# Operators


def test_gcn_layer_is_that_of_torch_geometric() -> None:
    from torch_geometric.nn import GCNConv

    torch_layer: Any = GCNConv(VIEW.features.shape[1], 4)  # type: ignore[abstract]
    ours: Any = _graph.GCNLayer(VIEW.features.shape[1], 4)
    with torch.no_grad():
        torch_layer.bias.uniform_(-1, 1)
        ours.conv.load_state_dict(torch_layer.state_dict())
        expected = torch_layer(VIEW.features, _graph_operators.undirected(VIEW))
        operator = _graph_operators.gcn_operator(VIEW)
        torch.testing.assert_close(ours(operator @ VIEW.features), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.conv(VIEW.features, operator), expected, atol=1e-5, rtol=1e-5)


def test_gin_layer_is_that_of_torch_geometric() -> None:
    ours: Any = _graph.GINLayer(VIEW.features.shape[1], 4).eval()
    with torch.no_grad():
        expected = ours.conv(VIEW.features, _graph_operators.undirected(VIEW))
        found = ours(_graph.summed(VIEW, _graph.TUNED)(VIEW))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_an_operator_is_made_once() -> None:
    assert _graph_operators.gcn_operator(VIEW) is _graph_operators.gcn_operator(VIEW)
    assert _graph_operators.gcn_operator(VIEW) is not _graph_operators.adjacency_operator(VIEW)


@pytest.mark.parametrize("method", METHODS)
def test_a_task_without_edges_is_refused(method: str) -> None:
    with pytest.raises(GraphError, match="has no edges"):
        load_baseline(method).fit(dataclasses.replace(VIEW, edges=None), FEW, 0)


def test_half_of_the_sensitive_feature_is_a_step_of_one() -> None:
    assert VIEW.flip is not None
    scale = _graph.scales(VIEW, _graph.PUBLISHED)
    steps = (VIEW.flip.values[0] - VIEW.flip.values[1]).abs() * scale
    assert steps[VIEW.flip.mask].tolist() == [1.0]
    assert (scale[~VIEW.flip.mask] == 1).all()


# Training


def test_the_weights_of_the_best_checkpoint_stay() -> None:
    layer, losses = nn.Linear(1, 1), iter([3.0, 1.0, 1.0, float("nan")])

    def step(epoch: int) -> None:
        nn.init.constant_(layer.weight, float(epoch))

    assert _graph_training.train([layer], 4, step, lambda: next(losses)) == 2
    assert layer.weight.item() == 2.0
    assert not layer.training


def test_divergence_is_an_error() -> None:
    with pytest.raises(ArithmeticError, match="diverged"):
        _graph_training.train([nn.Linear(1, 1)], 3, lambda _: None, lambda: float("nan"))


def test_dropout_keeps_the_mean() -> None:
    dropped = _graph_training.dropout(torch.ones(20_000), 0.25, torch.Generator().manual_seed(0))
    assert torch.unique(dropped).tolist() == pytest.approx([0, 4 / 3])
    assert float(dropped.mean()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_determines_the_model_and_another_changes_it(method: str) -> None:
    state = torch.random.get_rng_state()
    first, rows = fitted(method).logits(VIEW, everyone()), everyone()
    again = load_baseline(method).fit(VIEW, FEW, 0).logits(VIEW, rows)
    assert torch.equal(first, again)
    assert not torch.equal(first, load_baseline(method).fit(VIEW, FEW, 1).logits(VIEW, rows))
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("method", METHODS)
def test_hidden_labels_do_not_matter(method: str) -> None:
    task = small()
    assert (VIEW.labels[task.split.test] == HIDDEN).all()
    model = load_baseline(method).fit(task, FEW, 0)
    assert torch.equal(model.logits(task, everyone()), fitted(method).logits(VIEW, everyone()))


# The expert


@pytest.mark.parametrize("method", METHODS)
def test_masks_hide_columns_in_the_whole_graph(method: str) -> None:
    model, rows = fitted(method), torch.tensor([3, 200, 3, 17, 0])
    keep = torch.rand(5, len(VIEW.columns), generator=torch.Generator().manual_seed(1)) < 0.6
    keep[4] = keep[3]
    found = model.logits(VIEW, rows, keep)
    for position, row in enumerate(rows):
        masked = VIEW.with_features(VIEW.features * keep[position, VIEW.column_of_feature])
        alone = fitted(method).logits(masked, row[None])
        torch.testing.assert_close(found[position : position + 1], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_attributions_are_occlusion_and_evidence_is_complete(method: str) -> None:
    model, rows = fitted(method), VIEW.split.test[:20]
    expected = occlusion_columns(lambda picked, keep: model.logits(VIEW, rows[picked], keep), 20, len(VIEW.columns))
    found = model.attributions(VIEW, rows)
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-6)
    evidence = collect_evidence(model, VIEW, rows)
    assert evidence.explainer == "occlusion"
    assert evidence.masked is not None
    assert evidence.counterfactual is not None
    moved = torch.sigmoid(model.logits(VIEW.moved_to(1), rows))
    assert torch.equal(evidence.counterfactual[:, 1], moved)
    assert not torch.equal(evidence.counterfactual[:, 1], evidence.counterfactual[:, 0])


def test_nodes_of_other_features_are_refused() -> None:
    other = load_task("scm", rows=300, use_sensitive="drop", split=1).view()
    with pytest.raises(GraphError, match="encoded as its own were"):
        fitted("gcn").logits(other, torch.tensor([0]))


def test_edges_without_learnt_weights_are_refused() -> None:
    assert VIEW.edges is not None
    other = dataclasses.replace(VIEW, edges=VIEW.edges[:, 1:])
    edits = load_baseline("edits").fit(VIEW, {**FEW, "removed": 1, "rewiring": 0.5}, 0)
    with pytest.raises(GraphError, match="answers for that graph alone"):
        edits.logits(other, torch.tensor([0]))
    changed = fitted("gcn").logits(other, everyone()) != fitted("gcn").logits(VIEW, everyone())
    assert 0 < int(changed.sum()) < 20  # a lost edge is felt at its ends and their neighbours


@pytest.mark.parametrize("method", METHODS)
def test_saved_weights_are_those_of_prediction(method: str, tmp_path: Path) -> None:
    model = fitted(method)
    model.save(tmp_path)
    facts = json.loads((tmp_path / "expert.json").read_text(encoding="utf-8"))
    assert facts["family"] == model.family == load_baseline(method).family
    assert facts["explainer"] == model.explainer == load_baseline(method).explainer
    assert facts["settings"]["epochs"] == FEW["epochs"]
    weights = load_file(tmp_path / "weights.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in model.module.state_dict().items())
    d, h = VIEW.features.shape[1], 16
    expected = d * h + h + h + 1 + ((2 * h + h * h + h) if method == "gin" else 0)
    assert model.parameter_count == expected


# NIFTY


def rates(edge: float, feature: float) -> dict[str, Any]:
    return {**_graph.TUNED, **nifty.STATED, "drop_edge": edge, "drop_feature": feature}


def test_nothing_is_perturbed_at_rate_zero_and_the_second_graph_changes_groups() -> None:
    assert VIEW.flip is not None
    rows = torch.tensor([5, 0, 120])
    first, second = nifty.Perturbed(VIEW, rows, rates(0, 0), torch.Generator()).draw()
    dense = dense_normalised(VIEW.edges, len(VIEW.features)) if VIEW.edges is not None else torch.empty(0)
    torch.testing.assert_close(first, (dense @ VIEW.features)[rows])
    other = torch.where(VIEW.flip.mask, VIEW.flip.values[1 - VIEW.groups], VIEW.features)
    torch.testing.assert_close(second, (dense @ other)[rows])


def test_dropped_edges_change_the_normalisation() -> None:
    assert VIEW.edges is not None
    rows = VIEW.split.train
    perturbed = nifty.Perturbed(VIEW, rows, rates(0.3, 0), torch.Generator().manual_seed(4))
    kept = torch.rand(VIEW.edges.shape[1], generator=torch.Generator().manual_seed(4)) >= 0.3
    by_key = VIEW.edges[:, (VIEW.edges[0] * len(VIEW.features) + VIEW.edges[1]).argsort()]
    expected = dense_normalised(by_key[:, kept], len(VIEW.features)) @ VIEW.features
    torch.testing.assert_close(perturbed.draw()[0], expected[rows], atol=1e-5, rtol=1e-5)


def test_shifts_leave_sensitive_features_alone() -> None:
    assert VIEW.flip is not None
    plain = nifty.Perturbed(VIEW, VIEW.split.train, rates(0, 0), torch.Generator()).draw()
    shifted = nifty.Perturbed(VIEW, VIEW.split.train, rates(0, 1), torch.Generator().manual_seed(0)).draw()
    for one, other in zip(plain, shifted, strict=True):
        torch.testing.assert_close(one[:, VIEW.flip.mask], other[:, VIEW.flip.mask])
        assert ((one - other).abs().amin(0) > 0)[~VIEW.flip.mask].all()


def test_dissimilarity_of_known_vectors() -> None:
    one, other = torch.tensor([[1.0, 0]]), torch.tensor([[0.0, 2]])
    assert float(nifty.dissimilarity(nn.Identity(), one, 3 * one)) == pytest.approx(0)
    assert float(nifty.dissimilarity(nn.Identity(), one, other)) == pytest.approx(1)
    assert float(nifty.dissimilarity(nn.Identity(), one, -one)) == pytest.approx(2)


def test_no_weight_no_gradient_of_the_similarity() -> None:
    model, predictor = nn.Linear(VIEW.features.shape[1], 3), nn.Linear(3, 3)
    classifier = _graph.NodeClassifier(model, {**_graph.TUNED, "hidden": 3})
    graphs = nifty.Perturbed(VIEW, VIEW.split.train, rates(0.1, 0.5), torch.Generator().manual_seed(0)).draw()
    labels = VIEW.labels[VIEW.split.train]

    def gradients(weight: float) -> list[Tensor]:
        loss = nifty.objective(classifier, predictor, graphs, labels, weight)
        return list(torch.autograd.grad(loss, [predictor.weight, model.weight]))

    plain = torch.stack([_graph.loss_of(classifier(graph), labels) for graph in graphs]).mean()
    assert torch.equal(gradients(0)[0], torch.zeros(3, 3))
    torch.testing.assert_close(gradients(0)[1], torch.autograd.grad(plain, [model.weight])[0])
    assert gradients(0.5)[0].abs().max() > 0
    assert not torch.allclose(gradients(0.5)[1], gradients(0)[1] / 2)


def test_weights_of_nifty_have_spectral_norm_one() -> None:
    model: Any = fitted("nifty").module
    for weight in (model.layer.conv.lin.weight, model.head.weight):
        assert float(torch.linalg.matrix_norm(weight, 2)) == pytest.approx(1, abs=0.1)  # one power iteration a step


# FairGNN


def test_covariance_of_known_numbers() -> None:
    groups = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    assert float(fairgnn.covariance(torch.tensor([0.0, 0, 1, 1]), groups)) == pytest.approx(0.25)
    assert float(fairgnn.covariance(torch.tensor([1.0, 1, 0, 0]), groups)) == pytest.approx(0.25)
    assert float(fairgnn.covariance(torch.tensor([0.0, 1, 0, 1]), groups)) == pytest.approx(0)


def gradient_of_game(alpha: float, beta: float) -> tuple[Tensor, Tensor]:
    """Of the classifier's head and of its graph layer."""
    settings = {**_graph.TUNED, **fairgnn.STATED, "alpha": alpha, "beta": beta, "dropout": 0.0}
    game: Any = fairgnn._Game(VIEW, settings, 0)
    hidden = game.classifier.hidden(game.propagated)
    weights = [game.classifier.head.weight, game.classifier.layer.conv.lin.weight]
    head, layer = torch.autograd.grad(game.objective(hidden, game.groups()), weights)
    return head, layer


def test_each_weight_of_fairgnn_moves_what_it_should() -> None:
    head, layer = gradient_of_game(0, 0)
    plain: Any = fairgnn._Game(VIEW, {**_graph.TUNED, **fairgnn.STATED, "dropout": 0.0}, 0)
    rows = VIEW.split.train
    loss = _graph.loss_of(plain.classifier(plain.propagated)[rows], VIEW.labels[rows])
    torch.testing.assert_close(head, torch.autograd.grad(loss, [plain.classifier.head.weight])[0])
    against = gradient_of_game(1, 0)
    torch.testing.assert_close(against[0], head)  # the adversary reads the representation, not the decision
    assert not torch.allclose(against[1], layer)
    linked = gradient_of_game(0, 1)
    assert not torch.allclose(linked[0], head)
    assert not torch.allclose(linked[1], layer)


def test_groups_are_known_of_training_nodes_and_estimated_elsewhere() -> None:
    game: Any = fairgnn._Game(VIEW, {**_graph.TUNED, **fairgnn.STATED}, 0)
    shares, rows = game.groups(), VIEW.split.train
    torch.testing.assert_close(shares.sum(1), torch.ones(len(shares)))
    assert torch.equal(shares[rows].argmax(1), VIEW.groups[rows])
    others = torch.cat([VIEW.split.validation, VIEW.split.test])
    assert ((shares[others] > 0) & (shares[others] < 1)).all()


def test_the_fairest_of_the_accurate_epochs_is_chosen() -> None:
    choice: Any = object.__new__(fairgnn._Choice)
    table = [(0.70, 0.30), (0.69, 0.10), (0.69, 0.20), (0.50, 0.0), (float("nan"), 0.0)]
    choice._seen = [fairgnn._Checkpoint(u, f, {"epoch": torch.tensor(i)}) for i, (u, f) in enumerate(table)]
    assert int(choice.best(0.02)["epoch"]) == 1
    assert int(choice.best(0.0)["epoch"]) == 0


# Real data


@cache
def german() -> Task:
    return load_task("german", with_edges=True, progress=False)


def auc_of(fit: Callable[[TaskView], GraphModel]) -> float:
    task = german()
    rows = task.split.test
    probability = torch.sigmoid(fit(task.view()).logits(task.view(), rows))[None]
    values = point_values(probability, task.labels[rows], task.groups[rows], 2, metrics=("auc@1",))
    return float(values["auc@1"][0])


@pytest.mark.data
@pytest.mark.parametrize("method", METHODS)
def test_german_credit_is_learned(method: str) -> None:
    params = {"alpha": 0.1} if method == "fairgnn" else {}
    assert auc_of(lambda view: load_baseline(method).fit(view, {"lr": 0.01, **params}, 0)) > 0.65  # type: ignore[arg-type,return-value]


@pytest.mark.data
def test_fitted_expert_knows_nothing_of_the_global_generator() -> None:
    view = german().view()
    torch.manual_seed(1)
    first = load_baseline("nifty").fit(view, {"epochs": 3}, 0).logits(view, view.split.test)
    torch.manual_seed(2)
    assert torch.equal(first, load_baseline("nifty").fit(view, {"epochs": 3}, 0).logits(view, view.split.test))
