"""Operators against hand-worked answers, and whole networks against torch_geometric's layers."""

import dataclasses

import numpy as np
import pytest
import torch

from experts.graph.expert import GraphExpert
from experts.graph.inputs import graph_inputs
from experts.graph.neighbourhood import Neighbourhood
from experts.graph.propagation import operators, propagated
from experts.graph.settings import KINDS, GraphSettings
from experts.graph.sparse import Sparse
from experts.networks.lanes import SLOPE
from experts.saved import ExpertError
from tasks.load import load_task

PATH = torch.tensor([[0, 1], [1, 2]])  # 0 - 1 - 2, and 3 alone


@pytest.fixture
def path(make_view):
    """Four nodes: a path of three and a lonely one."""
    view = make_view(rows=4, numeric=2, levels=2)
    return dataclasses.replace(view, edges=PATH)


def dense(view, kind):
    return [matrix.toarray() for matrix in operators(view, kind)]


def test_operators_of_a_path(path):
    (gcn,) = dense(path, "gcn")
    root = 6**-0.5
    np.testing.assert_allclose(
        gcn, [[1 / 2, root, 0, 0], [root, 1 / 3, root, 0], [0, root, 1 / 2, 0], [0, 0, 0, 1]], atol=1e-7
    )
    (gin,) = dense(path, "gin")
    scale = ((4 + 9 + 4 + 1) / 4) ** 0.5
    np.testing.assert_allclose(gin * scale, [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]], atol=1e-6)
    own, mean = dense(path, "sage")
    np.testing.assert_array_equal(own, np.eye(4))
    np.testing.assert_allclose(mean, [[0, 1, 0, 0], [0.5, 0, 0.5, 0], [0, 1, 0, 0], [0, 0, 0, 0]])


def test_loops_double_edges_and_directions_change_nothing(path):
    messy = dataclasses.replace(path, edges=torch.tensor([[1, 1, 0, 2, 2], [0, 2, 1, 2, 1]]))
    for kind in KINDS:
        for clean, same in zip(dense(path, kind), dense(messy, kind), strict=True):
            np.testing.assert_array_equal(clean, same)


def test_propagation_is_computed_once_and_follows_the_features(path):
    first = propagated(path, "gcn")
    assert propagated(path, "gcn").features is first.features
    other = path.with_features(path.features * 2)
    assert torch.allclose(propagated(other, "gcn").features, first.features * 2)
    path.features.mul_(3)
    assert torch.allclose(propagated(path, "gcn").features, first.features * 3)


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_stays_unknown_and_columns_own_their_propagated_features(path, kind):
    column = path.columns[1]
    features = path.features.clone()
    features[:, list(column.features)] = 0
    seen = propagated(path.with_features(features), kind)
    owned = seen.column_of_feature == 1
    assert owned.sum() == len(column.features) * (2 if kind == "sage" else 1)
    assert bool((seen.features[:, owned] == 0).all())
    assert bool((seen.features[:, ~owned] != 0).any())
    assert len(seen.feature_names) == seen.features.shape[1] == len(set(seen.feature_names))
    assert seen.flip is None


def test_gin_columns_stay_in_a_sane_range(make_graph_view):
    view = make_graph_view()
    size = propagated(view, "gin").features.square().mean(0).sqrt()
    assert bool((size < 2).all()) and bool((size > 0.02).all())


def test_sparse_products_and_their_gradients(make_graph_view):
    view = make_graph_view(rows=40)
    (matrix,) = operators(view, "gin")
    whole, sparse = torch.tensor(matrix.toarray()), Sparse.of(matrix[:7])
    values = torch.randn(2, 3, 40, requires_grad=True)
    found, expected = sparse(values), values @ whole[:7].T
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    upstream = torch.randn(2, 3, 7)
    gradients = [torch.autograd.grad(out, values, upstream, retain_graph=True)[0] for out in (found, expected)]
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_neighbourhood_is_the_operator_cut_to_what_rows_touch(make_graph_view, kind):
    view = make_graph_view(rows=60, degree=2)
    matrices, rows = operators(view, kind), view.split.train[:9]
    around = Neighbourhood.of(view.features, matrices, rows)
    assert around.nodes < 60
    values = torch.randn(60, 1)
    for part in (around, around.first(4)):
        places = (part.features[:, None, :-1] == view.features).all(-1).float().argmax(1)  # nodes by their features
        assert torch.equal(places[part.own], rows[: len(part.own)])
        for operator, matrix in zip(part.operators, matrices, strict=True):
            expected = torch.tensor(matrix.toarray())[rows[: len(part.own)]] @ values
            torch.testing.assert_close(operator(values[places, 0]), expected[:, 0], atol=1e-6, rtol=1e-5)


def geometric_network(expert, view):
    """The same network of torch_geometric layers, with the expert's weights: margins [n] of all nodes."""
    from torch_geometric.nn import GCNConv, GINConv, SAGEConv

    kind, layers = expert.settings.kind, expert.settings.layers
    (first, second, offset) = (part[0].detach() for part in expert.parameters.split())
    weight, bias, h = first[:, :-1], first[:, -1], expert.parameters.hidden
    both = torch.cat([view.edges, view.edges.flip(0)], 1)
    x, d = view.features, view.features.shape[1]
    if kind == "gcn":
        one, two = GCNConv(d, h), GCNConv(h, 1)
        one.lin.weight.data, one.bias.data, two.lin.weight.data, two.bias.data = weight, bias, second[None], offset
    elif kind == "gin":
        scale = float((torch.bincount(view.edges.flatten(), minlength=len(x)) + 1.0).square().mean().sqrt())
        one, two = GINConv(torch.nn.Linear(d, h)), GINConv(torch.nn.Linear(h, 1))
        one.nn.weight.data, one.nn.bias.data = weight / scale, bias
        two.nn.weight.data, two.nn.bias.data = second[None] / scale, offset
    else:
        one, two = SAGEConv(d, h), SAGEConv(h, 1)
        one.lin_r.weight.data, one.lin_l.weight.data, one.lin_l.bias.data = weight[:, :d], weight[:, d:], bias
        if layers == 2:
            two.lin_r.weight.data, two.lin_l.weight.data = second[None, :h], second[None, h:]
            two.lin_l.bias.data = offset
    units = torch.nn.functional.leaky_relu(one(x, both), SLOPE)
    if layers == 1:
        return (units @ second + offset).detach()
    return two(units, both)[:, 0].detach()


def random_expert(view, kind, layers, hidden=8, seed=3):
    settings = GraphSettings(kind, layers)
    parameters = graph_inputs(view, settings).initial(hidden, [seed])
    return GraphExpert.of_lane(view, "utility", settings, parameters.with_theta(parameters.theta * 3))


@pytest.mark.filterwarnings("ignore:.*torch_geometric.*", "ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_margins_are_those_of_torch_geometric(make_graph_view, kind, layers):
    view = make_graph_view()
    expert = random_expert(view, kind, layers)
    rows = torch.arange(len(view.features))
    torch.testing.assert_close(expert.logits(view, rows), geometric_network(expert, view), atol=1e-5, rtol=1e-5)
    some = view.split.validation[:5]
    torch.testing.assert_close(expert.logits(view, some), expert.logits(view, rows)[some], atol=1e-5, rtol=1e-5)


@pytest.mark.data
@pytest.mark.filterwarnings("ignore:.*torch_geometric.*", "ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_margins_on_german_are_those_of_torch_geometric(kind):
    view = load_task("german", with_edges=True, progress=False).view()
    expert = random_expert(view, kind, 2)
    found = expert.logits(view, torch.arange(len(view.features)))
    torch.testing.assert_close(found, geometric_network(expert, view), atol=1e-5, rtol=1e-5)


def test_a_task_without_edges_is_refused_and_told_which_cards_have_them(make_view):
    view = make_view()
    with pytest.raises(ExpertError, match=r"Cards with edges are bail, bail_clean, credit, german, nba"):
        propagated(view, "gcn")


@pytest.mark.data
def test_a_task_loaded_without_its_edges_is_told_to_load_them():
    view = load_task("german", progress=False).view()
    with pytest.raises(ExpertError, match="with_edges=True"):
        random_expert(view, "gcn", 1)


def test_there_are_three_kinds_and_two_depths():
    assert GraphSettings("gcn").name == "gcn" and GraphSettings("gcn", 2).name == "gcn2"
    for kind, layers in (("gat", 1), ("gcn", 3)):
        with pytest.raises(ValueError, match="There is no graph expert"):
            GraphSettings(kind, layers)
