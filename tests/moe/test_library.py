"""A mixture from a library of bags: weights, joint fine-tuning, chained reasons."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from experts.bagging import Bag, BaggedExpert, HonestBag, bag_folds, bag_rows
from experts.loading import load_expert
from experts.networks.lanes import LaneParameters
from experts.networks.mlp import MLPExpert
from experts.networks.network import MLP
from experts.networks.trainer import Budget, LaneConfig
from experts.tuning.bagged_lanes import train_for_steps
from gates.gate import GateState
from gates.mixing import mixture_margin
from gates.static_simplex import StaticSimplexGate
from moe.joint import JointConfig, trainable_members, tune_jointly
from moe.library import LEAST, Library, heavy, library_mixture
from moe.mixture import Mixture, load_mixture
from tests.experts.conftest import build_view

BUDGET = Budget(steps=400, eval_every=400, warm_up=10, hidden=6, rungs=(), dropout=0.0)
VIEW = build_view(rows=600)
FOLD = bag_folds(VIEW, 3, 0)


def bag_of(steps: int, seed: int, *, family: str = "mlp", trial: int = 0) -> Bag:
    """Networks of a role, trained for some steps on the folds."""
    rows = bag_rows(VIEW)
    pooled = dataclasses.replace(VIEW, split=dataclasses.replace(VIEW.split, train=rows))
    seen = (FOLD[None] != torch.arange(3)[:, None]).float()
    lanes = [LaneConfig(0.01, 0.0, {}, seed)] * 3
    trained = train_for_steps(pooled, "utility", lanes, BUDGET, [steps] * 3, seed=seed, row_weights=seen, network=MLP)
    oof = MLP.inputs(pooled).margins(trained, rows).gather(0, FOLD[None])[0].clone()
    models = tuple(dataclasses.replace(MLP.expert(pooled, "utility", trained, k), family=family) for k in range(3))
    return Bag(f"{family}/utility/{trial}", family, "utility", trial, oof, BaggedExpert(models))


@pytest.fixture(scope="module")
def bags() -> list[Bag]:
    return [bag_of(60, 1), bag_of(30, 2, trial=1), bag_of(2, 3, family="other")]


def loss(margins: Tensor, labels: Tensor) -> float:
    return float(torch.nn.functional.binary_cross_entropy_with_logits(margins, labels.float()))


def test_a_library_becomes_a_mixture_that_has_not_seen_its_own_rows(bags: list[Bag]) -> None:
    library = Library.of(VIEW, bags, FOLD)
    assert library.families == ("mlp", "mlp", "other") and library.margins.shape == (len(bag_rows(VIEW)), 3)
    found = library_mixture(library, seed=0)
    assert sum(found.weights.values()) == pytest.approx(1) and set(found.weights) <= set(library.names)
    assert min(found.weights.values()) >= LEAST
    point = torch.tensor(list(found.weights.values()))
    used = [library.names.index(name) for name in found.weights]
    expected = mixture_margin(point, library.margins[:, used])
    torch.testing.assert_close(found.margins, expected, atol=1e-4, rtol=1e-4)
    labels = VIEW.labels[found.rows]
    assert loss(found.margins, labels) <= min(loss(bag.oof, labels) for bag in bags) + 0.01
    again = library_mixture(library, seed=0)
    assert torch.equal(again.margins, found.margins)


@pytest.mark.parametrize("gate", ["greedy", "family_means", "simplex", "stacking", "shrunk_dense", "dense"])
def test_every_gate_weighs_a_library(bags: list[Bag], gate: str) -> None:
    found = library_mixture(Library.of(VIEW, bags, FOLD), gate, seed=0, floor=0.5)
    assert sum(found.weights.values()) == pytest.approx(1, abs=1e-4)
    assert bool(torch.isfinite(found.mixture.logits(VIEW, VIEW.split.test)).all())


def test_light_members_leave() -> None:
    used, point = heavy(torch.tensor([0.5, 0.004, 0.496]))
    assert used == [0, 2] and point.tolist() == pytest.approx([0.5 / 0.996, 0.496 / 0.996])
    assert heavy(torch.full((300,), 1 / 300))[0] == [0]


def test_joint_fine_tuning_is_kept_where_unseen_rows_ask_for_it() -> None:
    """Networks that were stopped far too soon still have something to learn."""
    members = [HonestBag.of(VIEW, bag_of(steps, seed), FOLD) for steps, seed in ((8, 1), (8, 2))]
    point, config = torch.tensor([0.5, 0.5]), JointConfig(learning_rate=1e-2)
    found = tune_jointly(VIEW, members, point, FOLD, seed=0, config=config)
    assert found.kept and found.after < found.before and found.point.sum() == pytest.approx(1)
    labels, rows = VIEW.labels[bag_rows(VIEW)], bag_rows(VIEW)
    outputs = torch.stack([member.bag.oof for member in members], 1)
    assert found.before == pytest.approx(loss(mixture_margin(point, outputs), labels), abs=1e-5)
    for member in found.members:  # margins that are stored are those of the models
        torch.testing.assert_close(member.logits(VIEW, rows), member.bag.oof, atol=1e-5, rtol=0)
    again = tune_jointly(VIEW, members, point, FOLD, seed=0, config=config)
    assert torch.equal(again.point, found.point) and torch.equal(again.members[0].bag.oof, found.members[0].bag.oof)


def test_joint_fine_tuning_is_left_where_nothing_is_to_be_gained() -> None:
    members = [HonestBag.of(VIEW, bag_of(400, seed), FOLD) for seed in (1, 2)]
    found = tune_jointly(VIEW, members, torch.tensor([0.5, 0.5]), FOLD, seed=0, config=JointConfig(learning_rate=1e-2))
    assert not found.kept and found.members == tuple(members) and found.after == found.before
    assert len(found.history) == 4


def test_a_rows_label_does_not_reach_the_tuned_networks_of_its_fold() -> None:
    members = [HonestBag.of(VIEW, bag_of(8, seed), FOLD) for seed in (1, 2)]
    rows, labels = bag_rows(VIEW), VIEW.labels.clone()
    labels[rows[4]] = 1 - labels[rows[4]]
    flipped = dataclasses.replace(VIEW, labels=labels)
    config = JointConfig(learning_rate=1e-2, batch=len(rows))  # all rows every time: their order does not matter
    before, after = (
        tune_jointly(v, members, torch.tensor([0.5, 0.5]), FOLD, seed=0, config=config).members[0].bag.oof
        for v in (VIEW, flipped)
    )
    own = FOLD[4] == FOLD
    torch.testing.assert_close(before[own], after[own], atol=1e-4, rtol=0)
    assert (before[~own] - after[~own]).abs().max() > 1e-4


def test_what_is_no_network_is_a_frozen_offset(bags: list[Bag]) -> None:
    class Frozen:
        role, family, explainer = "utility", "gbdt", "tree_shap"

    models = BaggedExpert((Frozen(),) * 3)  # type: ignore[arg-type]
    trees = HonestBag.of(VIEW, dataclasses.replace(bags[0], expert=models), FOLD)
    members = [trees, *(HonestBag.of(VIEW, bag_of(8, seed), FOLD) for seed in (1, 2))]
    assert trainable_members(members, torch.tensor([0.6, 0.1, 0.3]), 4) == [1, 2]
    assert trainable_members(members, torch.tensor([0.6, 0.1, 0.3]), 1) == [2]
    assert trainable_members(members, torch.tensor([0.7, 0.0, 0.3]), 4) == [2]
    config = JointConfig(learning_rate=1e-2, networks=1)
    found = tune_jointly(VIEW, members, torch.tensor([0.1, 0.4, 0.5]), FOLD, seed=0, config=config)
    assert found.members[0] is trees and found.members[1] is members[1]
    alone = tune_jointly(VIEW, [trees], torch.ones(1), FOLD, seed=0)
    assert not alone.kept and alone.history == []


def test_chained_reasons_are_the_members_passed_on_by_the_slope() -> None:
    """By hand: ∂M/∂z_k = w_k p_k (1 − p_k) / (p (1 − p)) of static weights."""
    experts = tuple(
        MLPExpert("utility", LaneParameters.initial(VIEW.features.shape[1], 5, [seed]), VIEW.feature_names, "t")
        for seed in (1, 2)
    )
    point, rows = torch.tensor([0.3, 0.7]), VIEW.split.test[:20]
    mixture = Mixture(experts, StaticSimplexGate(point), chained=True)
    assert mixture.explainer == "chained"
    own = torch.stack([torch.sigmoid(expert.logits(VIEW, rows)) for expert in experts], 1)
    whole = (own * point).sum(1)
    slope = point * own * (1 - own) / (whole * (1 - whole))[:, None]
    expected = sum(slope[:, k : k + 1] * experts[k].attributions(VIEW, rows) for k in range(2))
    torch.testing.assert_close(mixture.attributions(VIEW, rows), expected, atol=1e-5, rtol=1e-4)
    single = Mixture(experts[:1], StaticSimplexGate(torch.ones(1)), chained=True)
    torch.testing.assert_close(single.attributions(VIEW, rows), experts[0].attributions(VIEW, rows))


def test_a_chained_mixture_of_bags_is_saved_and_loaded(bags: list[Bag], tmp_path: Path) -> None:
    found = library_mixture(Library.of(VIEW, bags[:2], FOLD), "family_means", seed=0).mixture
    assert found.chained
    found.save(tmp_path)
    loaded, test = load_mixture(tmp_path, load_expert), VIEW.split.test
    assert loaded.explainer == "chained" and torch.equal(loaded.logits(VIEW, test), found.logits(VIEW, test))
    torch.testing.assert_close(loaded.attributions(VIEW, test), found.attributions(VIEW, test))
    state = GateState(VIEW.features[test], torch.zeros(len(test), 2))
    assert torch.equal(loaded.gate.weights(state), found.gate.weights(state))


def half_known(side: int, family: str) -> Bag:
    """Networks that have seen labels of one side of a feature only, and wrong ones on the other side."""
    view = build_view(rows=1200)
    rows, fold = bag_rows(view), bag_folds(view, 3, 0)
    labels = view.labels.clone()
    off = rows[(view.features[rows, 0] > 0) != bool(side)]
    labels[off] = 1 - labels[off]
    wrong = dataclasses.replace(view, labels=labels, split=dataclasses.replace(view.split, train=rows))
    seen = (fold[None] != torch.arange(3)[:, None]).float()
    lanes = [LaneConfig(0.02, 0.0, {}, side)] * 3
    trained = train_for_steps(wrong, "utility", lanes, BUDGET, [300] * 3, seed=side, row_weights=seen, network=MLP)
    oof = MLP.inputs(wrong).margins(trained, rows).gather(0, fold[None])[0].clone()
    models = tuple(dataclasses.replace(MLP.expert(view, "utility", trained, k), family=family) for k in range(3))
    return Bag(f"{family}/utility/0", family, "utility", 0, oof, BaggedExpert(models))


def test_a_row_wise_gate_takes_the_place_of_static_weights_only_where_it_wins(bags: list[Bag]) -> None:
    assert isinstance(
        library_mixture(Library.of(VIEW, bags, FOLD), seed=0, row_wise=True).mixture.gate, StaticSimplexGate
    )
    view = build_view(rows=1200)
    library = Library.of(view, [half_known(0, "left"), half_known(1, "right")], bag_folds(view, 3, 0))
    static, found = (library_mixture(library, seed=0, row_wise=row_wise) for row_wise in (False, True))
    assert found.mixture.gate.name == "shrunk_dense" and found.joint is None
    labels, test = view.labels[found.rows], view.split.test
    assert loss(found.margins, labels) < loss(static.margins, labels)
    low, high = (
        found.mixture.weights(view, test[(view.features[test, 0] > 0) == side]).mean(0) for side in (False, True)
    )
    assert low[0] > high[0]
