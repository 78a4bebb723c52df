from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from metrics.explainers.graphlime import GraphLime, Neighbourhoods, neighbourhoods, top_feature
from tasks.load import load_task
from tests.metrics import lime_oracle
from tests.metrics.cfa import scaled_features


def random_models(features: Tensor, models: int, seed: int = 0) -> Tensor:
    """[T, n] probabilities of networks with one random hidden layer."""
    generator = torch.Generator().manual_seed(seed)
    d = features.shape[1]
    first = torch.randn(models, 8, d, generator=generator, dtype=torch.float64) / d**0.5
    second = torch.randn(models, 1, 8, generator=generator, dtype=torch.float64) * 2
    return torch.sigmoid((second @ torch.nn.functional.leaky_relu(first @ features.T))[:, 0])


def random_graph(n: int = 60, d: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.rand(n, d, generator=generator, dtype=torch.float64) * 2 - 1
    features[:, 0] = features[:, 0].sign()
    return features, torch.randint(0, n, (2, 6 * n), generator=generator)


def merged_top(importance: np.ndarray, kernels: np.ndarray) -> int:  # type: ignore[type-arg]
    """Top feature after features with the same kernel gave their weights to the first of them; -1 if all are 0."""
    gram = kernels.T @ kernels
    owner = np.array([np.flatnonzero(row > 1 - 1e-5)[0] if row.max() > 0.5 else k for k, row in enumerate(gram)])
    total = np.bincount(owner, weights=importance, minlength=len(importance))
    return int(total.argmax()) if total.max() > 0 else -1


def agreement(features: Tensor, probability: Tensor, around: Neighbourhoods, nodes: list[int]) -> float:
    """Share of (model, node) pairs where both explainers name the same feature, same kernels counted as one."""
    ours = GraphLime(features, around).explain(probability)
    x, hits = features.numpy(), []
    for node in nodes:
        inside = around.nodes[around.start[node] : around.start[node + 1]].numpy()
        kernels = lime_oracle.feature_kernels(x, inside)
        for model in range(len(probability)):
            theirs = lime_oracle.importances(x, probability[model].numpy(), inside)
            hits.append(merged_top(theirs, kernels) == merged_top(ours[model, node].numpy(), kernels))
    return float(np.mean(hits))


@pytest.fixture
def _quiet_lars() -> None:
    """LARS warns when kernels of two features are the same; it then drops one, as we do."""
    warnings.simplefilter("ignore", ConvergenceWarning)


@pytest.mark.parametrize("cap", [4, None])
def test_weights_equal_the_plain_lasso(cap: int | None) -> None:
    features, edges = random_graph()
    rows = torch.arange(60)
    around = neighbourhoods(edges, 60, rows, seed=0, cap=cap)
    probability = random_models(features, 3)
    ours = GraphLime(features, around).explain(probability)
    for model in range(3):
        for node in range(0, 60, 5):
            inside = around.nodes[around.start[node] : around.start[node + 1]].numpy()
            theirs = lime_oracle.importances(features.numpy(), probability[model].numpy(), inside, "descent")
            np.testing.assert_allclose(ours[model, node].numpy(), theirs, atol=1e-4)


@pytest.mark.data
@pytest.mark.usefixtures("_quiet_lars")
@pytest.mark.parametrize(("name", "models", "nodes"), [("german", 2, 250), ("bail", 2, 60)])
def test_top_feature_equals_lars_on_real_graphs(name: str, models: int, nodes: int) -> None:
    task = load_task(name, protocol="nifty", with_edges=True)
    assert task.edges is not None
    features = scaled_features(task)
    step = len(task.split.test) // nodes
    rows = task.split.test[::step][:nodes]
    around = neighbourhoods(task.edges, len(features), rows, seed=0)
    probability = random_models(features, models)
    assert agreement(features, probability, around, list(range(nodes))) >= 0.995


def test_neighbourhoods_by_hand() -> None:
    edges = torch.tensor([[0, 1, 1, 3, 0], [1, 0, 2, 3, 1]])
    around = neighbourhoods(edges, 5, torch.tensor([1, 3, 4]), seed=0)
    assert around.start.tolist() == [0, 3, 4, 5]
    assert around.nodes.tolist()[0] == 1
    assert set(around.nodes.tolist()[:3]) == {0, 1, 2}
    assert around.nodes.tolist()[3:] == [3, 4]


def test_samples_of_neighbours() -> None:
    _, edges = random_graph()
    everyone = neighbourhoods(edges, 60, torch.arange(60), seed=0, cap=3)
    some = neighbourhoods(edges, 60, torch.tensor([7, 3]), seed=0, cap=3)
    assert everyone.start.diff().max() == 4
    for position, node in enumerate((7, 3)):
        a = everyone.nodes[everyone.start[node] : everyone.start[node + 1]]
        assert torch.equal(a, some.nodes[some.start[position] : some.start[position + 1]])
        assert len(set(a.tolist())) == len(a)
    other = neighbourhoods(edges, 60, torch.arange(60), seed=1, cap=3)
    assert not torch.equal(everyone.nodes, other.nodes)


def test_nothing_varies_nothing_explains() -> None:
    features, edges = random_graph()
    features[:, 2] = 0.3
    around = neighbourhoods(edges, 60, torch.arange(60), seed=0)
    constant = GraphLime(features, around).explain(torch.full((1, 60), 0.7))
    assert bool((constant == 0).all())
    assert bool((top_feature(constant) == -1).all())
    weights = GraphLime(features, around).explain(random_models(features, 2))
    assert bool((weights[..., 2] == 0).all())
    assert bool((weights > 0).any())


def test_a_model_of_one_feature_is_explained_by_it() -> None:
    features, edges = random_graph(n=200)
    around = neighbourhoods(edges, 200, torch.arange(200), seed=0)
    for feature in (1, 3):
        probability = torch.sigmoid(3 * features[:, feature])[None]
        top = top_feature(GraphLime(features, around).explain(probability))
        assert float((top == feature).float().mean()) > 0.95


def test_models_and_nodes_do_not_depend_on_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    features, edges = random_graph()
    probability = random_models(features, 4)
    whole = GraphLime(features, neighbourhoods(edges, 60, torch.arange(60), seed=0)).explain(probability)
    monkeypatch.setattr("metrics.explainers.graphlime._BUDGET", 3000)
    monkeypatch.setattr("metrics.explainers.graphlime._PROBLEMS", 5)
    rows = torch.tensor([40, 2, 17])
    part = GraphLime(features, neighbourhoods(edges, 60, rows, seed=0)).explain(probability[1:3])
    torch.testing.assert_close(whole[1:3][:, rows], part, atol=1e-5, rtol=0.0)
