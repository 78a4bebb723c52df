"""Graph models read the graph of the rows that they are asked about."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.methods.baseline import Params
from benchmarks.methods.baselines import load_baseline
from benchmarks.methods.graph_model import GraphError
from benchmarks.models import ModelError, load_model, save_model
from experts.expert import Expert
from experts.graph.expert import GraphExpert
from experts.graph.inputs import graph_inputs
from experts.graph.settings import KINDS, GraphSettings, Kind
from experts.networks.lanes import LaneParameters
from experts.networks.mlp import MLPExpert
from gates.static_simplex import StaticSimplexGate
from moe.mixture import Mixture
from tasks.fetch import fetch
from tasks.frame import read_tables
from tasks.load import load_task
from tasks.task import Task
from tests.benchmarks.models.conftest import assert_same

FEW: Params = {"epochs": 10, "lr": 0.01}
BASELINES: list[tuple[str, Params]] = [
    ("gcn", FEW), ("gin", FEW), ("nifty", FEW), ("fairgnn", FEW), ("edits", {**FEW, "removed": 2, "rewiring": 0.5}),
    ("fairvgnn", {"epochs": 5}),
]  # fmt: skip


@cache
def german() -> tuple[Task, pd.DataFrame, Path]:
    """The graph data set, its raw rows in the order of the task, and its file of edges."""
    task = load_task("german", with_edges=True)
    raw = read_tables(task.card, fetch(task.card, roles=("table",)))
    assert task.card.edges is not None
    return task, raw.iloc[task.rows.numpy()], fetch(task.card, roles=("edges",))[task.card.edges.file]


def check(expert: Expert, method: str, folder: Path) -> None:
    """Rows with a file of edges, and with pairs of positions, give what the task's nodes give."""
    task, raw, edges = german()
    view = task.view()
    save_model(expert, view, folder, method=method, origin={})
    model = load_model(folder)
    wanted = torch.sigmoid(expert.logits(view, torch.arange(len(raw))).double()).numpy()
    assert model.needs_graph and model.facts["needs_graph"]
    assert_same(model.predict_proba(raw, edges, unknown="missing")[:, 1], wanted)
    assert view.edges is not None
    shuffled = view.edges.flip(0)[:, torch.randperm(view.edges.shape[1])].numpy()
    assert_same(model.predict_proba(raw, shuffled, unknown="missing")[:, 1], wanted)
    with pytest.raises(ModelError, match="neighbours of each row in a graph"):
        model.predict_proba(raw, unknown="missing")


@pytest.mark.parametrize(("method", "params"), BASELINES, ids=[name for name, _ in BASELINES])
def test_graph_baselines(method: str, params: Params, tmp_path: Path) -> None:
    check(load_baseline(method).fit(german()[0].view(), params, 1), method, tmp_path / "model")


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_graph_experts_and_their_mixtures(kind: Kind, layers: int, tmp_path: Path) -> None:
    view = german()[0].view()
    settings = GraphSettings(kind, layers)
    expert = GraphExpert.of_lane(view, "utility", settings, graph_inputs(view, settings).initial(5, [3]))
    tabular = MLPExpert.of_lane(view, "result", LaneParameters.initial(len(view.feature_names), 5, [1]))
    check(Mixture((tabular, expert), StaticSimplexGate(torch.tensor([0.4, 0.6]))), kind, tmp_path / "model")


def test_edits_answers_for_its_own_graph_alone(tmp_path: Path) -> None:
    task, raw, _ = german()
    expert = load_baseline("edits").fit(task.view(), dict(BASELINES)["edits"], 1)
    save_model(expert, task.view(), tmp_path / "model", method="edits", origin={})
    assert task.edges is not None
    with pytest.raises(GraphError, match="another graph"):
        load_model(tmp_path / "model").predict_proba(raw, task.edges[:, 5:], unknown="missing")


def test_edges_lead_to_rows(tmp_path: Path) -> None:
    task, raw, _ = german()
    save_model(load_baseline("gcn").fit(task.view(), FEW, 1), task.view(), tmp_path / "m", method="gcn", origin={})
    model = load_model(tmp_path / "m")
    with pytest.raises(ModelError, match="lead to row 5, but there are 3 rows"):
        model.predict_proba(raw.iloc[:3], np.array([[0], [5]]), unknown="missing")
    with pytest.raises(ModelError, match=r"shape \[2, m\], not \(3, 1\)"):
        model.predict_proba(raw.iloc[:3], np.array([[0], [1], [2]]), unknown="missing")
    alone = model.predict_proba(raw.iloc[:3], np.empty((2, 0), dtype=np.int64), unknown="missing")
    assert np.isfinite(alone).all()
