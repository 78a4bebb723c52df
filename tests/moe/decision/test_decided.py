from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from experts.expert import Expert
from foundation.files import write_json
from moe.decision import Decided, DecisionProblem, Demand, fit_decision, load_decided
from moe.decision.group_model import GroupModel, unseen_joint
from moe.mixture import Mixture
from tasks.task import TaskView
from tests.views import view_of


@dataclass(frozen=True)
class Column:
    """Margins are one feature."""

    place: int
    role: str = "utility"
    family: str = "column"
    explainer: str = "column"

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        margin = task.features[rows, self.place]
        return margin if keep is None else margin * keep[:, self.place]

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(torch.full((len(rows),), self.place), 3) * task.features[rows]

    def save(self, folder: Path) -> None:
        write_json(folder / "column.json", {"place": self.place})


def load(folder: Path) -> Column:
    import json

    return Column(json.loads((folder / "column.json").read_text())["place"])


def made(n: int = 1600) -> TaskView:
    generator = torch.Generator().manual_seed(0)
    groups = torch.randint(2, (n,), generator=generator)
    x = torch.randn(n, 3, generator=generator)
    x[:, 0] += groups
    x[:, 2] = groups + 0.5 * x[:, 2]  # a proxy
    labels = (torch.rand(n, generator=generator) < torch.sigmoid(2 * x[:, 0] - 1)).long()
    return view_of(x, labels, groups)


VIEW = made()
ROWS = torch.arange(800)
MEMBERS = (Column(0), Column(1), Column(2))


def problem(joint: Tensor | None = None) -> DecisionProblem:
    members = torch.stack([member.logits(VIEW, ROWS) for member in MEMBERS])
    return DecisionProblem(
        members,
        ("utility", "result", "procedural"),
        VIEW.labels[ROWS],
        VIEW.groups[ROWS],
        2,
        ROWS % 4,
        400,
        joint=joint,
    )


def decided(**demand) -> Decided:
    found = fit_decision(problem(), Demand("dp@1", 0.05, **demand))
    assert found is not None
    return Decided.of(MEMBERS, found)


def blind() -> Decided:
    known = VIEW.features[ROWS], VIEW.labels[ROWS], VIEW.groups[ROWS], 2
    probability = torch.sigmoid(VIEW.features[ROWS, 0].double())
    found = fit_decision(problem(unseen_joint(*known, probability, ROWS % 4, 0)), Demand("dp@1", 0.05, mode="blind"))
    assert found is not None
    return Decided.of(MEMBERS, found, GroupModel.fit(*known, 0))


def test_is_an_expert_whose_cut_is_the_decision():
    one = decided()
    assert isinstance(one, Expert) and one.knows_group and one.explainer == "column"
    margins = one.logits(VIEW, ROWS)
    moved = one.decision.apply(problem().members, VIEW.groups[ROWS])
    assert margins.dtype == torch.float32 and torch.equal(margins > 0, moved > 0.5)
    assert torch.equal(one.attributions(VIEW, ROWS[:5]), MEMBERS[0].attributions(VIEW, ROWS[:5]))


def test_rows_of_another_group_get_its_cut():
    one = decided()
    other = replace(VIEW, groups=1 - VIEW.groups)
    moved = one.logits(VIEW, ROWS) - one.logits(other, ROWS)
    cuts = one.decision.rule.cuts
    assert moved.tolist() == pytest.approx((cuts[1 - VIEW.groups[ROWS]] - cuts[VIEW.groups[ROWS]]).tolist(), abs=1e-4)


def test_members_with_shares_become_a_mixture():
    found = replace(decided().decision, shares=torch.tensor([0.75, 0.0, 0.25], dtype=torch.float64))
    one = Decided.of(MEMBERS, found)
    assert isinstance(one.base, Mixture) and len(one.base.experts) == 2
    expected = found.apply(problem().members, VIEW.groups[ROWS])
    assert torch.allclose(torch.sigmoid(one.logits(VIEW, ROWS)).double(), expected, atol=1e-5)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("limit", [0.05, math.inf])
def test_saved_and_loaded_it_says_the_same(tmp_path, mixed, limit):
    one = decided()
    changed = replace(one.decision, demand=replace(one.decision.demand, limit=limit))
    if mixed:
        changed = replace(changed, shares=torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64))
    one = Decided.of(MEMBERS, changed)
    one.save(tmp_path)
    again = load_decided(tmp_path, load)
    assert torch.equal(again.logits(VIEW, ROWS), one.logits(VIEW, ROWS))
    assert again.decision.demand == one.decision.demand and again.decision.transfer == one.decision.transfer
    assert again.parameter_count == one.parameter_count


def test_blind_is_not_told_the_group_and_asks_itself_for_reasons(tmp_path):
    one = blind()
    assert not one.knows_group and one.explainer == "shapley_sampling"
    other = replace(VIEW, groups=1 - VIEW.groups)
    assert torch.equal(one.logits(VIEW, ROWS), one.logits(other, ROWS))
    few = ROWS[:4]
    attributions = one.attributions(VIEW, few)
    assert attributions.shape == (4, 3) and bool((attributions[:, 2].abs() > 0).any())  # the proxy moves the cut
    nothing = one.logits(VIEW, few, torch.zeros(4, 3, dtype=torch.bool))
    assert torch.allclose(attributions.sum(1).float(), one.logits(VIEW, few) - nothing, atol=1e-3)
    one.save(tmp_path)
    assert torch.equal(load_decided(tmp_path, load).logits(VIEW, ROWS), one.logits(VIEW, ROWS))


def test_the_joint_model_finds_a_proxy_and_its_masses_add_up():
    known = VIEW.features[ROWS], VIEW.labels[ROWS], VIEW.groups[ROWS], 2
    probability = torch.full((800,), 0.25)
    joint = unseen_joint(*known, probability, ROWS % 4, 0)
    assert torch.allclose(joint.sum((1, 2)), torch.ones(800, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(joint[..., 1].sum(1), torch.full((800,), 0.25, dtype=torch.float64), atol=1e-6)
    guessed = joint.sum(-1).argmax(1)
    assert float((guessed == VIEW.groups[ROWS]).double().mean()) > 0.75
    assert torch.equal(joint, unseen_joint(*known, probability, ROWS % 4, 0))


def test_a_batch_has_to_be_fixed():
    one = decided(mode="batch")
    with pytest.raises(ValueError, match="for_batch"):
        one.logits(VIEW, ROWS)
    new = torch.arange(800, 1400)
    fixed = one.for_batch(VIEW, new)
    for group in (0, 1):
        mine = VIEW.groups[new] == group
        rate = float((fixed.logits(VIEW, new)[mine] > 0).double().mean())
        assert rate == pytest.approx(float(one.decision.rates[group]), abs=1 / int(mine.sum()))
    with pytest.raises(ValueError, match="does not depend on a batch"):
        decided().for_batch(VIEW, new)


def test_a_blind_decision_needs_its_model_of_the_group():
    with pytest.raises(ValueError, match="model of the group"):
        replace(blind(), group_model=None).logits(VIEW, ROWS)
    with pytest.raises(ValueError, match="pass joint"):
        blind().decision.apply(problem().members, VIEW.groups[ROWS])
    with pytest.raises(ValueError, match="pass groups"):
        decided().decision.apply(problem().members)
