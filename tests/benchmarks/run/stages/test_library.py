"""The library's stage: which configurations it holds, what decisions are fitted on, what is told of its routing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from benchmarks.run.levels import allowed_gaps, level_tables
from benchmarks.run.levels.choice import Choice, Variant
from benchmarks.run.levels.part import Part
from benchmarks.run.stages.library_stage import LibraryStage, weighed_library
from benchmarks.run.stages.members import COUNTS, member_trials
from experts.bagging import bag_fit, bag_folds, bag_rows
from experts.tuning.tuned import Tuned
from moe.decision import Demand, fit_decisions
from moe.routing import Routed, routing_report
from tasks.load import load_task
from tasks.task import TaskView

TASK = load_task("scm@600")
VIEW = TASK.view()
FOLD = bag_folds(VIEW, 3, 0)


def level_rows(*args, **further):
    return level_tables(*args, **further)["levels"]


@dataclass(frozen=True)
class Line:
    """A linear margin."""

    role: str
    family: str
    weight: Tensor
    bias: float
    explainer: str = "integrated_gradients"

    @classmethod
    def fitted(cls, view: TaskView, strength: float, role: str, family: str) -> Line:
        rows = view.split.train
        model = LogisticRegression(C=strength).fit(view.features[rows].numpy(), view.labels[rows].numpy())
        return cls(role, family, torch.from_numpy(model.coef_[0]).float(), float(model.intercept_[0]))

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        features = task.features[rows]
        return (features if keep is None else features * keep[:, task.column_of_feature]) @ self.weight + self.bias

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        parts = task.features[rows] * self.weight
        return torch.zeros(len(rows), len(task.columns)).index_add_(1, task.column_of_feature, parts)

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def studied(role: str, family: str, states: list[str], best: int) -> Tuned:
    trials = [{"number": number, "state": state} for number, state in enumerate(states)]
    found = SimpleNamespace(role=role, trials=trials, best_trial=best, expert=SimpleNamespace(family=family))
    return cast(Tuned, found)


def test_members_are_the_chosen_trial_and_the_first_others_that_were_trained() -> None:
    states = ["COMPLETE", "FAIL", "PRUNED", "COMPLETE", *["COMPLETE"] * 12]
    assert member_trials(studied("utility", "linear", states, 3)) == (3, 0, 2, 4)
    assert len(member_trials(studied("utility", "gbdt", states, 0))) == COUNTS["gbdt"]
    assert member_trials(studied("result", "gbdt", states, 5)) == (5,)
    assert member_trials(studied("utility", "of a plug-in", states, 5)) == (5,)


@pytest.fixture(scope="module")
def stage() -> LibraryStage:
    kinds = (
        ("utility", "linear", 0.01), ("utility", "linear", 10.0), ("utility", "gbdt", 0.001), ("result", "linear", 1.0),
    )  # fmt: skip
    bags = []
    for trial, (role, family, strength) in enumerate(kinds):

        def fit(view: TaskView, kind: tuple[float, str, str] = (strength, role, family)) -> Line:
            return Line.fitted(view, *kind)

        bags.append(bag_fit(VIEW, fit, FOLD, f"{family}/{role}/{trial}", family, role, trial))
    return weighed_library(VIEW, bags, FOLD, "adaptive", seed=0, floor=0.0)


def test_weights_are_those_of_the_mixture(stage: LibraryStage) -> None:
    assert sum(stage.weighed.weights.values()) == pytest.approx(1)
    assert all(name.split("/")[1] == "utility" for name in stage.weighed.weights)
    oof = stage.out_of_fold
    assert torch.equal(oof.rows, bag_rows(VIEW)) and len(oof.test) == len(VIEW.split.test)
    torch.testing.assert_close(stage.mixture.logits(VIEW, oof.rows), oof.margins)


def test_validation_rows_are_answered_by_models_that_have_not_seen_them(stage: LibraryStage) -> None:
    rows = VIEW.split.validation
    seen = torch.stack([m.bag.expert.logits(VIEW, rows) for m in stage.mixture.experts]).mean(0)
    honest = stage.mixture.logits(VIEW, rows)
    assert not torch.allclose(seen, honest)
    assert torch.equal(honest, stage.weighed.margins[len(VIEW.split.train) :])


def test_routing_is_told_by_family(stage: LibraryStage) -> None:
    told = stage.by_family
    assert isinstance(told, Routed)
    rows = VIEW.split.test
    assert torch.allclose(told.weights(VIEW, rows).sum(1), torch.ones(len(rows)))
    mixed = sum(
        w * torch.sigmoid(e.logits(VIEW, rows)) for w, e in zip(told.weights(VIEW, rows).T, told.experts, strict=True)
    )
    torch.testing.assert_close(mixed, torch.sigmoid(stage.mixture.logits(VIEW, rows)), atol=1e-5, rtol=1e-4)
    names = {row["expert"] for row in routing_report(told, TASK, rows, seed=0, shuffles=5).rows}
    assert names <= {"linear_utility", "gbdt_utility"}


def test_decisions_keep_what_is_allowed_and_become_rows_of_the_table(stage: LibraryStage) -> None:
    problem = stage.problem(0)
    assert problem.roles == ("utility", "result") and problem.new_rows == len(VIEW.split.test)
    allowed = allowed_gaps(0.2)
    found = fit_decisions(problem, [Demand(a.gap, a.limit) for a in allowed])
    members = stage.member_margins(VIEW.split.test)
    decided: dict[Any, Choice | None] = {
        a: None if one is None else Choice(
            one.apply(problem.members, problem.groups), one.apply(members, VIEW.groups[VIEW.split.test])
        )
        for a, one in zip(allowed, found, strict=True)
    }  # fmt: skip
    assert all(one.disparity <= a.limit for a, one in zip(allowed, found, strict=True) if one is not None)
    way = Variant("decision", Part(problem.labels, problem.groups, problem.n_groups), decided)
    validation, test = (torch.sigmoid(stage.mixture.logits(VIEW, r)) for r in (VIEW.split.validation, VIEW.split.test))
    rows = [r for r in level_rows(validation, test, None, TASK, 0.2, further=[way]) if r["variant"] == "decision"]
    assert {(r["gap"], r["level"]) for r in rows} == {(a.gap, a.level) for a in allowed}
    assert {r["status"] for r in rows if r["level"] == "any"} == {"ok"}
