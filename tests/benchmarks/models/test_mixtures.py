"""Experts of all families, mixtures with every gate, libraries and decisions, saved as folders within folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks.models import load_model
from experts.bagging import Bag, HonestBag, bag_fit, bag_folds
from experts.expert import Expert
from experts.linear.fitting import fit as fit_linear
from experts.networks.lanes import LaneParameters
from experts.networks.mlp import MLPExpert
from experts.networks.ple_mlp import PLEExpert, PLENetwork
from experts.trees.fitting import fit as fit_trees
from gates.gate import ProjectedGate
from gates.static_simplex import StaticSimplexGate
from moe.decision import Decided, Demand, fit_decision
from moe.decision.group_model import GroupModel, unseen_joint
from moe.decision.problem import DecisionProblem
from moe.library import Library, library_mixture
from moe.mixture import Mixture
from tasks.task import Task, TaskView
from tests.benchmarks.models.test_methods import check
from tests.gates.test_gates import dense, every_gate, shrunk

NETWORK = PLENetwork()
Toy = tuple[Task, pd.DataFrame]


def network(view: TaskView, role: str = "utility", seed: int = 1) -> MLPExpert:
    lanes = LaneParameters.initial(len(view.feature_names), 6, [seed])
    return MLPExpert.of_lane(view, role, lanes.with_theta(lanes.theta * 3))  # type: ignore[arg-type]


def trees(view: TaskView, role: str = "utility", seed: int = 1) -> Expert:
    settings = {"learning_rate": 0.1, "num_leaves": 6, "min_data_in_leaf": 10}
    return fit_trees(view, role, settings, seed)  # type: ignore[arg-type]


def linear(view: TaskView, role: str = "utility", seed: int = 1) -> Expert:
    return fit_linear(view, role, {"C": 1.0, "encoding": "piecewise_linear"}, seed)  # type: ignore[arg-type]


def piecewise(view: TaskView, role: str = "utility", seed: int = 1) -> PLEExpert:
    return NETWORK.expert(view, role, NETWORK.inputs(view).initial(6, [seed]), lane=0)  # type: ignore[arg-type]


Make = Callable[..., Expert]
FAMILIES: list[Make] = [network, piecewise, trees, linear]


@pytest.mark.parametrize("make", FAMILIES, ids=lambda make: make.__name__)
def test_experts_of_families(make: Make, toy: Toy, tmp_path: Path) -> None:
    task, raw = toy
    check(make(task.view()), make.__name__, task, raw, tmp_path / "model")


def gates_of(features: int) -> list[ProjectedGate]:
    """Every gate, those that read features for as many as there are."""
    reading: dict[str, ProjectedGate] = {
        "dense": dense(features), "topk": dense(features, k=2), "shrunk_dense": shrunk(features),
    }  # fmt: skip
    return [reading.get(gate.name, gate) for gate in every_gate()]


@pytest.mark.parametrize("place", range(len(every_gate())), ids=[gate.name for gate in every_gate()])
def test_mixtures_with_every_gate(place: int, toy: Toy, tmp_path: Path) -> None:
    task, raw = toy
    view = task.view()
    gate = gates_of(len(view.feature_names))[place]
    members = (network(view), network(view, "result", 2), trees(view))
    check(Mixture(members, gate), gate.name, task, raw, tmp_path / "model")


def test_a_mixture_may_hold_baselines_and_mixtures(toy: Toy, tmp_path: Path) -> None:
    from benchmarks.methods.baselines import load_baseline

    task, raw = toy
    view = task.view()
    inner = Mixture((network(view), linear(view)), StaticSimplexGate(torch.tensor([0.5, 0.5])))
    limits = {"constraint": "demographic_parity", "limit": 0.02, "objective": "accuracy"}
    told = load_baseline("oxonfair").fit(view, limits, 0)
    outer = Mixture((inner, told), StaticSimplexGate(torch.tensor([0.3, 0.7])))
    check(outer, "outer", task, raw, tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert model.needs_group and model.facts["needs_group"] and not model.needs_graph


def bags(view: TaskView) -> list[Bag]:
    fold = bag_folds(view, 3, 0)
    makers: list[tuple[str, Make]] = [("mlp", network), ("gbdt", trees), ("linear", linear)]
    return [bag_fit(view, make, fold, f"{family}/utility/0", family, "utility", 0) for family, make in makers]


def library(view: TaskView) -> Library:
    return Library.of(view, bags(view), bag_folds(view, 3, 0))


@pytest.mark.parametrize("gate", ["greedy", "family_means", "dense"])
def test_libraries(gate: str, toy: Toy, tmp_path: Path) -> None:
    task, raw = toy
    found = library_mixture(library(task.view()), gate, seed=0, floor=0.5)
    check(found.mixture, "mixture", task, raw, tmp_path / "model")


def problem(view: TaskView, members: list[HonestBag], joint: torch.Tensor | None = None) -> DecisionProblem:
    rows = torch.cat([view.split.train, view.split.validation]).sort().values
    margins = torch.stack([member.logits(view, rows) for member in members])
    known = view.labels[rows], view.groups[rows], 2
    return DecisionProblem(margins, ("utility",) * len(members), *known, torch.arange(len(rows)) % 4, 60, joint=joint)


def members_of(view: TaskView) -> list[HonestBag]:
    return [HonestBag.of(view, bag, bag_folds(view, 3, 0)) for bag in bags(view)]


@pytest.mark.parametrize("mode", ["aware", "batch"])
def test_decisions_by_group(mode: str, toy: Toy, tmp_path: Path) -> None:
    task, raw = toy
    view, members = task.view(), members_of(task.view())
    found = fit_decision(problem(view, members), Demand("dp@1", 0.1, mode=mode))  # type: ignore[arg-type]
    assert found is not None
    one = Decided.of(members, found)
    if mode == "aware":
        check(one, "decided", task, raw, tmp_path / "model")
        return
    from benchmarks.models import save_model

    save_model(one, view, tmp_path / "model", method="decided", origin={})
    few = view.split.test
    wanted = torch.sigmoid(one.for_batch(view, few).logits(view, few).double()).numpy()
    found_here = load_model(tmp_path / "model").predict_proba(raw.iloc[few.numpy()], unknown="missing")[:, 1]
    assert abs(found_here - wanted).max() <= 1e-6


def test_blind_decisions(toy: Toy, tmp_path: Path) -> None:
    task, raw = toy
    view, members = task.view(), members_of(task.view())
    rows = torch.cat([view.split.train, view.split.validation]).sort().values
    known = view.features[rows], view.labels[rows], view.groups[rows], 2
    probability = torch.sigmoid(members[0].logits(view, rows).double())
    joint = unseen_joint(*known, probability, torch.arange(len(rows)) % 4, 0)
    found = fit_decision(problem(view, members, joint), Demand("dp@1", 0.1, mode="blind"))
    assert found is not None
    one = Decided.of(members, found, GroupModel.fit(*known, 0))
    check(one, "blind", task, raw, tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert not model.needs_group
    without = raw.drop(columns=[name for name in model.group_columns if name not in model.columns_needed])
    assert len(model.predict(without, unknown="missing")) == len(raw)
