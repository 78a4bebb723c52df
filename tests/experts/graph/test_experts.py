"""Graph lanes: gradients, attributions, masks, objectives, files, and what they share with tabular lanes."""

import dataclasses

import pytest
import torch

from experts.evidence import collect_evidence
from experts.expert import Expert
from experts.graph.expert import GraphExpert
from experts.graph.inputs import graph_inputs
from experts.graph.layers import graph_backward, graph_forward, graph_margins, graph_reasons
from experts.graph.network import GraphNetwork
from experts.graph.settings import KINDS, GraphSettings
from experts.loading import load_expert
from experts.networks.group_profiles import indicator_or_none
from experts.networks.lanes import Workspace
from experts.networks.mlp import MLPExpert
from experts.networks.network import MLP
from experts.networks.trainer import OBJECTIVES, Budget, LaneConfig, train_lanes
from experts.networks.twin import train_fixed, twin
from experts.saved import ExpertError
from experts.tuning.networks import tune
from experts.tuning.out_of_fold import Recipe, out_of_fold_logits

BUDGET = Budget(steps=30, eval_every=10, patience=9, warm_up=5, hidden=5, rungs=(), attribution_rows=64)
NETWORKS = [GraphSettings(kind, layers) for kind in KINDS for layers in (1, 2)]
DEEP = [network for network in NETWORKS if network.layers == 2]


def name_of(network):
    return network.name


def random_expert(view, settings, hidden=6, seed=3, scale=3.0):
    parameters = graph_inputs(view, settings).initial(hidden, [seed])
    return GraphExpert.of_lane(view, "utility", settings, parameters.with_theta(parameters.theta * scale))


@pytest.fixture
def view(make_graph_view):
    return make_graph_view()


def lane(role, seed=1, value=0.7):
    return LaneConfig(0.02, 1e-4, dict.fromkeys(OBJECTIVES[role].lambdas, value), seed)


@pytest.mark.parametrize("network", DEEP, ids=name_of)
def test_hand_written_gradient_is_that_of_autograd(view, network):
    inputs = graph_inputs(view, network)
    around = inputs.neighbourhood(view.split.train[:50])
    parameters = inputs.initial(4, [1, 2, 3])
    mask = torch.ones(4, around.nodes)  # without dropout the margins are those of the tested forward pass
    theta = parameters.theta.clone().requires_grad_()
    upstream = torch.randn(3, 50)
    (expected,) = torch.autograd.grad(graph_margins(parameters.with_theta(theta), around), theta, upstream)
    margins, slopes = graph_forward(parameters.split(), around, mask, Workspace())
    torch.testing.assert_close(margins, graph_margins(parameters, around), atol=1e-6, rtol=1e-5)
    found = torch.full_like(parameters.theta, torch.nan)
    graph_backward(upstream, slopes, parameters.split(), around, found)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("network", NETWORKS, ids=name_of)
def test_attributions_are_integrated_gradients_by_quadrature(view, network):
    expert, rows = random_expert(view, network), view.split.validation[:4]
    total, steps = torch.zeros(len(rows), len(view.columns)), 150
    inputs = graph_inputs(view, network)
    around = inputs.neighbourhood(rows)
    owner = inputs.view.column_of_feature
    for step in range(steps):
        share = (step + 0.5) / steps
        if around is None:  # all nodes move from unknown to their features, and with them what a row sees
            seen = (inputs.view.features[rows] * share).requires_grad_()
            expert_margins = MLPExpert("utility", expert.parameters, inputs.view.feature_names, "")
            margins = expert_margins.logits(dataclasses.replace(inputs.view, features=seen), torch.arange(len(rows)))
            (gradient,) = torch.autograd.grad(margins.sum(), seen)
            total.index_add_(1, owner, gradient * inputs.view.features[rows] / steps)
            continue
        scale = torch.cat([torch.full((len(owner),), share), torch.ones(1)])
        nodes = (around.features * scale).requires_grad_()
        margins = graph_margins(expert.parameters, around, nodes)[0]
        for row in range(len(rows)):
            (gradient,) = torch.autograd.grad(margins[row], nodes, retain_graph=True)
            joint = (gradient * around.features)[:, :-1].sum(0)
            total[row].index_add_(0, owner, joint / steps)
    found = expert.attributions(view, rows)
    torch.testing.assert_close(found, total, atol=1e-2, rtol=1e-2)
    unknown = view.with_features(torch.zeros_like(view.features))
    gained = expert.logits(view, rows) - expert.logits(unknown, rows)
    torch.testing.assert_close(found.sum(1), gained, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("network", NETWORKS, ids=name_of)
def test_a_masked_column_is_unknown_in_the_whole_graph(view, network):
    expert, rows = random_expert(view, network), view.split.validation[:12].repeat(2)
    masked = torch.arange(len(rows)) % len(view.columns)
    keep = masked[:, None] != torch.arange(len(view.columns))
    keep[5] = True
    found = expert.logits(view, rows, keep)
    for row, column in enumerate(masked.tolist()):
        features = view.features.clone()
        if row != 5:
            features[:, list(view.columns[column].features)] = 0
        expected = expert.logits(view.with_features(features), rows[row : row + 1])
        torch.testing.assert_close(found[row : row + 1], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("network", DEEP, ids=name_of)
def test_reasons_of_lanes_are_those_of_their_experts(view, network):
    inputs, rows = graph_inputs(view, network), view.split.validation
    parameters = inputs.initial(5, list(range(11)))
    indicator = indicator_or_none(inputs.view.column_of_feature, len(view.columns))
    attributions, masked = graph_reasons(parameters, inputs.neighbourhood(rows), indicator)
    for place in (0, 9):
        expert = GraphExpert.of_lane(view, "utility", network, parameters, place)
        evidence = collect_evidence(expert, view, rows)
        torch.testing.assert_close(attributions[place], evidence.attributions, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(masked[place], evidence.masked, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("network", NETWORKS, ids=name_of)
def test_permuted_node_ids_change_nothing(view, network):
    order = torch.randperm(len(view.features), generator=torch.Generator().manual_seed(5))
    place = torch.argsort(order)
    split = dataclasses.replace(
        view.split, **{part: place[getattr(view.split, part)] for part in ("train", "validation", "test")}
    )
    moved = dataclasses.replace(
        view, features=view.features[order], labels=view.labels[order], groups=view.groups[order],
        edges=place[view.edges], split=split,
    )  # fmt: skip
    # two layers drop out hidden units of nodes, which are laid out in the order of their ids
    budget = dataclasses.replace(BUDGET, dropout=0.0)
    results = [
        train_lanes(v, "procedural", [lane("procedural")], budget, seed=4, network=GraphNetwork(network))
        for v in (view, moved)
    ]
    thetas = [result.parameters.theta for result in results]
    torch.testing.assert_close(*thetas, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("network", [GraphSettings("gin"), *DEEP], ids=name_of)
@pytest.mark.parametrize("role", ["result", "procedural", "combined"])
def test_every_lambda_moves_a_parameter_and_none_is_the_utility_lane(view, role, network):
    names = OBJECTIVES[role].lambdas
    none = LaneConfig(0.02, 1e-4, dict.fromkeys(names, 0.0), 1)
    budget = dataclasses.replace(BUDGET, steps=8, eval_every=8)

    def trained(as_role, configs):
        return train_lanes(view, as_role, configs, budget, seed=4, network=GraphNetwork(network)).parameters.theta

    configs = [none, *(dataclasses.replace(none, lambdas={**none.lambdas, name: 1.0}) for name in names)]
    thetas = trained(role, configs)
    assert torch.equal(trained(role, [none]), trained("utility", [LaneConfig(0.02, 1e-4, {}, 1)]))
    for name, theta in zip(names, thetas[1:], strict=True):
        assert not torch.allclose(theta, thetas[0], atol=1e-5), name


@pytest.mark.parametrize("network", [GraphSettings("gcn"), GraphSettings("sage", 2)], ids=name_of)
@pytest.mark.parametrize("batch_rows", [60, 2048])
def test_lanes_equal_separate_runs(make_graph_view, monkeypatch, network, batch_rows):
    view = make_graph_view()
    monkeypatch.setattr("experts.networks.batches.FULL_BATCH_ROWS", 16)  # so that 60 rows are a mini-batch
    budget = dataclasses.replace(BUDGET, batch_rows=batch_rows)
    configs = [lane("combined", seed, 0.2 * seed) for seed in range(3)]
    together = train_lanes(view, "combined", configs, budget, seed=2, network=GraphNetwork(network))
    for place, config in enumerate(configs):
        alone = train_lanes(view, "combined", [config], budget, seed=2, network=GraphNetwork(network))
        torch.testing.assert_close(together.parameters.theta[place], alone.parameters.theta[0], atol=1e-5, rtol=1e-4)
        assert together.step[place] == alone.step[0]


def test_a_graph_lane_learns_what_only_neighbours_tell(make_graph_view):
    view = make_graph_view(rows=300, degree=3)
    signal = torch.randn(300, generator=torch.Generator().manual_seed(9))
    features = torch.zeros_like(view.features)
    features[:, -1] = signal
    (_, mean) = (torch.tensor(m.toarray()) for m in graph_inputs(view, GraphSettings("sage", 2)).second)
    labels = ((mean @ signal) > 0).long()
    view = dataclasses.replace(view, features=features, labels=labels)
    budget = dataclasses.replace(BUDGET, steps=200, eval_every=50, dropout=0.0)
    config = LaneConfig(0.05, 0.0, {}, 1)
    graph, tabular = (
        train_lanes(view, "utility", [config], budget, seed=1, network=g).metrics[0]["auc@1"]
        for g in (GraphNetwork(GraphSettings("sage")), MLP)
    )
    assert graph > 0.97
    assert tabular < 0.7


@pytest.mark.parametrize("network", NETWORKS, ids=name_of)
def test_files_round_trip_and_damage_is_told(view, tmp_path, network):
    expert = random_expert(view, network)
    expert.save(tmp_path)
    loaded = load_expert(tmp_path)
    assert isinstance(loaded, GraphExpert) and isinstance(loaded, Expert)
    assert loaded.settings == network and loaded.family == network.kind
    rows = view.split.validation
    assert torch.equal(loaded.logits(view, rows), expert.logits(view, rows))
    assert loaded.parameter_count == expert.parameters.theta.shape[1]
    with pytest.raises(ExpertError, match="family is"):
        MLPExpert.load(tmp_path)
    text = (tmp_path / "expert.json").read_text()
    (tmp_path / "expert.json").write_text(text.replace('"layers": ', '"layers": 7'))
    with pytest.raises(ExpertError, match="layers is 7"):
        load_expert(tmp_path)
    (tmp_path / "expert.json").write_text(text.replace('"hidden": 6', '"hidden": 5'))
    with pytest.raises(ExpertError, match="asks for theta"):
        load_expert(tmp_path)


def test_other_features_and_missing_edges_are_refused(view, make_view):
    expert = random_expert(view, GraphSettings("gcn"))
    with pytest.raises(ExpertError, match="reads other features"):
        expert.logits(make_view(levels=4), torch.arange(3))
    with pytest.raises(ExpertError, match="needs edges"):
        expert.logits(dataclasses.replace(view, edges=None), torch.arange(3))


def test_out_of_fold_of_tabular_and_graph_recipes_sees_no_held_out_label(view):
    recipes = [
        Recipe("utility", lane("utility"), 20),
        Recipe("result", lane("result"), 20, GraphNetwork(GraphSettings("gcn"))),
        Recipe("utility", lane("utility"), 20, GraphNetwork(GraphSettings("sage", 2))),
    ]
    fold = torch.arange(len(view.split.train)) % 3
    budget = dataclasses.replace(BUDGET, dropout=0.0)  # the order of rows, hence the noise, is stratified by label
    logits = out_of_fold_logits(view, recipes, budget=budget, seed=0, assignment=fold)
    labels = view.labels.clone()
    held = view.split.train[fold == 1]
    labels[held] = 1 - labels[held]
    other = out_of_fold_logits(
        dataclasses.replace(view, labels=labels), recipes, budget=budget, seed=0, assignment=fold
    )
    torch.testing.assert_close(logits[fold == 1], other[fold == 1], atol=1e-4, rtol=1e-3)
    assert not torch.allclose(logits[fold == 0], other[fold == 0], atol=1e-2)


def test_tuned_graph_roles_lie_beside_tabular_ones(view, tmp_path):
    settings = {"seed": 1, "folder": tmp_path, "budget": BUDGET, "trials": 4, "batch": 2, "space": "wide"}
    network = GraphSettings("gin", 2)
    floor = tune(view, "utility", **settings)
    tuning = tune(view, "result", **settings, utility_floor=floor, network=GraphNetwork(network))
    assert (tmp_path / "synthetic_utility_tuning_results.json").exists()
    assert (tmp_path / "synthetic_gin2_result_tuning_results.json").exists()
    loaded = load_expert(tmp_path / "synthetic_gin2_result_best")
    rows = view.split.validation
    assert torch.equal(loaded.logits(view, rows), tuning.expert.logits(view, rows))
    again = train_fixed(
        view,
        "result",
        tuning.lane,
        tuning.budget,
        seed=tuning.train_seed,
        utility_floor=tuning.floor,
        network=GraphNetwork(network),
    )
    torch.testing.assert_close(again.parameters.theta, tuning.expert.parameters.theta, atol=1e-5, rtol=1e-4)
    plain = twin(view, tuning)
    assert isinstance(plain, GraphExpert) and plain.settings == network
    assert not torch.allclose(plain.parameters.theta, tuning.expert.parameters.theta, atol=1e-3)
