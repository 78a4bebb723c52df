"""Saved models as ONNX: onnxruntime says of raw rows what the model says, and what cannot be written is refused."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch

from artefacts.format.archive import open_package
from artefacts.packing.pack import package
from artefacts.packing.told import Told
from benchmarks.methods.baseline import Params
from benchmarks.methods.baselines import load_baseline
from benchmarks.methods.baselines._model import ModelExpert
from benchmarks.methods.baselines._network import Network
from benchmarks.methods.baselines._reductions import TreeVotes
from benchmarks.models import ModelError, SavedModel, load_model, save_model
from benchmarks.models.onnx_form.building import built
from benchmarks.models.onnx_form.columns import features
from benchmarks.models.onnx_form.graph import Graph
from benchmarks.models.onnx_form.trees import tree_margins
from benchmarks.models.onnx_form.writing import to_onnx, write_onnx
from experts.expert import Expert
from experts.graph.expert import GraphExpert
from experts.graph.inputs import graph_inputs
from experts.graph.settings import GraphSettings
from experts.trees.text import Tree
from moe.decision import Decided, Demand, fit_decision
from moe.decision.group_model import GroupModel, unseen_joint
from moe.library import library_mixture
from moe.mixture import Mixture
from tasks.card import Card, ColumnSpec
from tasks.encode import MOST_CATEGORIES, ColumnEncoder, Encoder
from tasks.frame import assemble, clean_text, empty_missing
from tasks.task import Task, TaskView
from tests.benchmarks.models.conftest import rows as toy_rows
from tests.benchmarks.models.test_graphs import german
from tests.benchmarks.models.test_methods import BOOSTED, HISTOGRAM, LINEAR, PARITY
from tests.benchmarks.models.test_mixtures import (
    FAMILIES,
    every_gate,
    gates_of,
    library,
    members_of,
    network,
    problem,
    trees,
)
from tests.tasks.toys import toy_card

Toy = tuple[Task, pd.DataFrame]
Answer = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]
WRITTEN: list[tuple[str, Params]] = [
    ("constant", {}),
    ("logistic_regression", {"C": 1.0}),
    ("gradient_boosting", {**HISTOGRAM, "max_leaf_nodes": 8}),
    ("exponentiated_gradient", {**PARITY, "eps": 0.02, "C": 1.0}),
    ("oxonfair", {**PARITY, "limit": 0.02, "objective": "accuracy"}),
]
REFUSED: list[tuple[str, Params]] = [
    ("threshold_optimizer", {**LINEAR, **PARITY, "tol": 0.01, "objective": "accuracy_score"}),
    ("correlation_remover", {**LINEAR, "alpha": 0.7}),
    ("linear_post", {**BOOSTED, "mode": "aware", "gap": "dp@1", "tol": 0.1}),
]


def session(written: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(written, options, providers=["CPUExecutionProvider"])


def answers(written: bytes, model: SavedModel, frame: pd.DataFrame) -> Answer:
    """What onnxruntime says of the rows as a CSV file holds them."""
    running, text = session(written), pd.read_csv(StringIO(frame.to_csv(index=False)), dtype=str, keep_default_na=False)
    given: dict[str, npt.NDArray[np.generic]] = {}
    for one in running.get_inputs():
        if one.type == "tensor(int64)":
            groups = model.groups(frame)
            assert groups is not None
            given[one.name] = groups.numpy()[:, None]
        elif one.type == "tensor(double)":
            given[one.name] = text[[one.name]].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
        else:
            given[one.name] = text[[one.name]].to_numpy(object)
    probabilities, decision, unknown = running.run(None, given)
    return probabilities, decision, unknown


def saved(expert: Expert, view: TaskView, folder: Path) -> SavedModel:
    save_model(expert, view, folder, method="own", origin={})
    return load_model(folder)


def check(expert: Expert, toy: Toy, folder: Path) -> SavedModel:
    """Test rows, whole and one by itself."""
    task, raw = toy
    model, frame = saved(expert, task.view(), folder), raw.iloc[task.split.test.numpy()]
    written = to_onnx(model)
    assert written == to_onnx(load_model(folder))
    wanted = model.predict_proba(frame, unknown="missing")
    found, decision, _ = answers(written, model, frame)
    assert found.shape == wanted.shape and found.dtype == np.float64
    assert np.abs(found - wanted).max() <= 1e-6
    clear = np.abs(wanted[:, 1] - 0.5) > 1e-6
    assert clear.mean() > 0.9 and (decision[clear, 0] == model.predict(frame, unknown="missing")[clear]).all()
    assert np.abs(answers(written, model, frame.iloc[:1])[0] - wanted[:1]).max() <= 1e-6
    return model


@pytest.mark.parametrize("make", FAMILIES, ids=lambda make: make.__name__)
def test_families(make: Callable[[TaskView], Expert], toy: Toy, tmp_path: Path) -> None:
    check(make(toy[0].view()), toy, tmp_path / "model")


@pytest.mark.parametrize(("method", "params"), WRITTEN, ids=[name for name, _ in WRITTEN])
def test_baselines(method: str, params: Params, toy: Toy, tmp_path: Path) -> None:
    check(load_baseline(method).fit(toy[0].view(), params, 7), toy, tmp_path / "model")


def test_rectified_networks_and_votes_of_trees(toy: Toy, tmp_path: Path) -> None:
    view, torch_seed = toy[0].view(), torch.Generator().manual_seed(0)
    width = len(view.feature_names)
    layers = torch.nn.Sequential(torch.nn.Linear(width, 5), torch.nn.ReLU(), torch.nn.Linear(5, 1))
    for weight in layers.requires_grad_(False).parameters():
        weight.copy_(torch.randn(weight.shape, generator=torch_seed))
    check(ModelExpert(Network(layers), "mlp", 0), toy, tmp_path / "network")
    fitted = [trees(view, seed=seed) for seed in (1, 2)]
    voters = (*(one.model for one in fitted), 30.0)  # type: ignore[attr-defined]
    votes = TreeVotes(voters, torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64))
    check(ModelExpert(votes, "gbdt", 0), toy, tmp_path / "votes")


@pytest.mark.parametrize("place", range(len(every_gate())), ids=[gate.name for gate in every_gate()])
def test_mixtures_with_every_gate(place: int, toy: Toy, tmp_path: Path) -> None:
    view = toy[0].view()
    members = (network(view), network(view, "result", 2), trees(view))
    check(Mixture(members, gates_of(len(view.feature_names))[place]), toy, tmp_path / "model")


def test_bags_in_a_library(toy: Toy, tmp_path: Path) -> None:
    check(library_mixture(library(toy[0].view()), "greedy", seed=0, floor=0.5).mixture, toy, tmp_path / "model")


def test_decisions_by_group(toy: Toy, tmp_path: Path) -> None:
    view, members = toy[0].view(), members_of(toy[0].view())
    found = fit_decision(problem(view, members), Demand("dp@1", 0.1))
    assert found is not None
    model = check(Decided.of(members, found), toy, tmp_path / "model")
    running = session(to_onnx(model))
    given = {one.name: np.array([["x"]], object) for one in running.get_inputs() if one.type == "tensor(string)"}
    given |= {one.name: np.array([[1.0]]) for one in running.get_inputs() if one.type == "tensor(double)"}
    for group, known in ((0, True), (1, True), (2, False), (-1, False)):
        probability, decision, _ = running.run(None, {**given, "group": np.array([[group]])})
        assert np.isfinite(probability).all() == known and (decision[0, 0] != -1) == known


def test_blind_decisions(toy: Toy, tmp_path: Path) -> None:
    view, members = toy[0].view(), members_of(toy[0].view())
    rows = torch.cat([view.split.train, view.split.validation]).sort().values
    known = view.features[rows], view.labels[rows], view.groups[rows], 2
    probability = torch.sigmoid(members[0].logits(view, rows).double())
    joint = unseen_joint(*known, probability, torch.arange(len(rows)) % 4, 0)
    found = fit_decision(problem(view, members, joint), Demand("dp@1", 0.1, mode="blind"))
    assert found is not None
    model = check(Decided.of(members, found, GroupModel.fit(*known, 0)), toy, tmp_path / "model")
    assert all(one.type != "tensor(int64)" for one in session(to_onnx(model)).get_inputs())


@pytest.fixture(scope="module")
def boosted(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    return saved(trees(toy[0].view()), toy[0].view(), tmp_path_factory.mktemp("boosted") / "model")


def test_what_is_missing_or_unknown_counts_as_it_does_here(boosted: SavedModel) -> None:
    frame = toy_rows(6, seed=3).astype({"age": float, "hours": float})
    frame.loc[0, "age"], frame.loc[1, "age"], frame.loc[2, "hours"] = np.nan, -9, np.nan
    frame.loc[3, ["job", "race"]], frame.loc[4, "job"], frame.loc[5, "hours"] = ["pilot", "q"], None, 1e9
    found, _, unknown = answers(to_onnx(boosted), boosted, frame)
    assert np.abs(found - boosted.predict_proba(frame, unknown="missing")).max() <= 1e-12
    assert unknown[:, 0].tolist() == [0, 0, 0, 2, 0, 0]


def test_a_table_without_rows_has_no_answers(boosted: SavedModel, toy: Toy) -> None:
    shapes = [part.shape for part in answers(to_onnx(boosted), boosted, toy[1].iloc[:0])]
    assert shapes == [(0, 2), (0, 1), (0, 1)]


def encoded(encoder: Encoder, frame: pd.DataFrame, card: Card | None = None) -> npt.NDArray[np.float32]:
    """Features by the graph alone; a cell is the word that a file has."""
    graph = Graph()
    value, _ = features(graph, encoder, card or toy_card())
    graph.output("features", "float", len(encoder.feature_names), value)
    given = {
        name: frame[[name]].to_numpy(np.float64 if kind == "double" else object) for name, kind in graph.inputs.items()
    }
    found: npt.NDArray[np.float32] = session(built(graph, "features", {}, "")).run(["features"], given)[0]
    return found


def test_codes_go_into_their_bins() -> None:
    job = {"name": "job", "kind": "categorical", "text": "job", "missing": ["none", 999]}
    bins = [
        {"name": "heart", "at_least": 390, "below": 460}, {"name": "sugar", "equals": ["250.83", 251]},
        {"name": "tiny", "at_most": 1.5}, {"name": "small", "below": 5}, {"name": "unseen", "above": 5000},
    ]  # fmt: skip
    spec = ColumnSpec.model_validate({**job, "bins": bins})
    known = ("heart", "other", "small", "sugar", "tiny")
    encoder = Encoder("robust", (ColumnEncoder(spec, False, categories=known),))
    codes = ["428", "390", "459.99", "460", "250.83", "251", "V57", "-3", "1.5", "1e2", ".5", "heart", "other", "none"]
    frame = pd.DataFrame({"job": [*codes, "999", "", "sugar", "1e4", "unseen", "+1", "3"]})
    wanted = encoder.encode(clean_text(frame.copy(), toy_card())).numpy()
    assert wanted.any(0).all() and (~wanted.any(1)).sum() == 5
    assert (encoded(encoder, frame) == wanted).all()


def test_rare_words_share_a_feature_and_a_long_tail_has_a_logarithm() -> None:
    table = toy_rows(200)
    table["race"] = [f"r{number % (MOST_CATEGORIES + 9)}" for number in range(200)]
    table["age"] = 44
    encoder = Encoder.fit(assemble(toy_card(), ("sex",), table), np.arange(200))
    kinds = {one.name: one for one in encoder.encoders}
    assert kinds["race"].rare and kinds["hours"].log and kinds["age"].scale == 0
    found = encoded(encoder, table.fillna({"job": ""}))
    assert np.abs(found - encoder.encode(table).numpy()).max() <= 1e-6


def test_the_file_s_words_for_missing_are_known() -> None:
    card = toy_card(read={"missing": ["?", "-1"]})
    encoder = Encoder.fit(assemble(toy_card(), ("sex",), toy_rows(200)), np.arange(200))
    frame = toy_rows(4).fillna({"job": "cook"})
    frame.loc[0, ["sex", "race"]], frame.loc[1, ["age", "hours"]], frame.loc[2, "job"] = "?", -1, ""
    wanted = encoder.encode(clean_text(empty_missing(frame.copy(), card), card)).numpy()
    assert np.abs(encoded(encoder, frame, card) - wanted).max() <= 1e-6
    graph = Graph()
    graph.output("unknown", "int64", 1, features(graph, encoder, card)[1])
    given = {n: frame[[n]].to_numpy(np.float64 if k == "double" else object) for n, k in graph.inputs.items()}
    assert session(built(graph, "unknown", {}, "")).run(None, given)[0].tolist() == [[0]] * 4


def stump(threshold: float, left: float, right: float) -> Tree:
    none = [0, 0, 0]
    return Tree([True, False, False], none, [threshold, 0.0, 0.0], [1, 0, 0], [2, 0, 0], [0.0, left, right])


def test_a_number_at_a_threshold_goes_left() -> None:
    edge = float(np.float32(0.1))
    trees_there = [stump(edge, 1.0, 2.0), stump(float(np.nextafter(edge, 0)), 10.0, 20.0)]
    graph = Graph()
    rows = graph.cast(graph.column(graph.input("x", "double")), "float")
    graph.output("margins", "float", 2, tree_margins(graph, trees_there, [0, 1], [0.5, 0.25], rows))
    found = session(built(graph, "trees", {}, "")).run(None, {"x": np.array([[edge], [0.0], [1.0]])})[0]
    assert found.tolist() == [[1.5, 20.25], [1.5, 10.25], [2.5, 20.25]]
    nothing = Graph()
    rows = nothing.cast(nothing.column(nothing.input("x", "double")), "float")
    nothing.output("margins", "float", 1, tree_margins(nothing, [], [], [0.5], rows))
    assert session(built(nothing, "none", {}, "")).run(None, {"x": np.ones((2, 1))})[0].tolist() == [[0.5], [0.5]]


def test_the_file_says_what_it_is_and_runs_nothing(boosted: SavedModel, tmp_path: Path) -> None:
    made = package(boosted.folder, tmp_path / "a.expert", Told(name="one"))
    with open_package(made.path) as opened:
        write_onnx(opened.manifest, opened.read, tmp_path / "one.onnx")
        with pytest.raises(ModelError, match="exists already"):
            write_onnx(opened.manifest, opened.read, tmp_path / "one.onnx")
        content = opened.content
    model = onnx.load(tmp_path / "one.onnx")
    told = {one.key: one.value for one in model.metadata_props}
    assert (told["name"], told["version"], told["content"]) == ("one", "1.0.0", content)
    assert content == hashlib.sha256(made.manifest.canonical()).hexdigest()
    assert json.loads(told["groups"]) == ["female", "male"] and json.loads(told["fairness"]) == {}
    assert [one["name"] for one in json.loads(told["inputs"])["columns"]] == [one.name for one in model.graph.input]
    assert not model.functions and {node.domain for node in model.graph.node} == {"", "ai.onnx.ml"}
    assert all(number.data_location == onnx.TensorProto.DEFAULT for number in model.graph.initializer)
    assert {one.domain: one.version for one in model.opset_import} == {"": 20, "ai.onnx.ml": 3}


def test_columns_may_have_the_names_of_outputs(toy: Toy, tmp_path: Path) -> None:
    model = saved(network(toy[0].view()), toy[0].view(), tmp_path / "model")
    for encoder in model.encoder.encoders:
        if encoder.name == "job":
            object.__setattr__(encoder, "spec", encoder.spec.model_copy(update={"name": "decision"}))
    running = session(to_onnx(model))
    assert "decision" in [one.name for one in running.get_inputs()]
    assert [one.name for one in running.get_outputs()] == ["probabilities", "decision_", "unknown_cells"]


@pytest.mark.parametrize(("method", "params"), REFUSED, ids=[name for name, _ in REFUSED])
def test_what_is_not_known_as_operators_is_named(method: str, params: Params, toy: Toy, tmp_path: Path) -> None:
    model = saved(load_baseline(method).fit(toy[0].view(), params, 7), toy[0].view(), tmp_path / "model")
    with pytest.raises(ModelError, match=r"a part of the kind '(group thresholds|linear on uncorrelated|linear post)'"):
        to_onnx(model)


def test_graphs_and_batches_are_refused(toy: Toy, tmp_path: Path) -> None:
    task, _, _ = german()
    settings = GraphSettings("gcn", 2)
    expert = GraphExpert.of_lane(task.view(), "utility", settings, graph_inputs(task.view(), settings).initial(5, [3]))
    with pytest.raises(ModelError, match="reads the neighbours"):
        to_onnx(saved(expert, task.view(), tmp_path / "graph"))
    view, members = toy[0].view(), members_of(toy[0].view())
    found = fit_decision(problem(view, members), Demand("dp@1", 0.1, mode="batch"))
    assert found is not None
    with pytest.raises(ModelError, match="all rows of a batch"):
        to_onnx(saved(Decided.of(members, found), view, tmp_path / "batch"))


def test_without_the_package_it_is_said_how_to_get_it(boosted: SavedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelError, match="pip install"):
        to_onnx(boosted)
