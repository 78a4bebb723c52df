"""Decisions under bounds on reasons: members are searched on validation rows, and scored as any model is."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from benchmarks.run.levels import Allowed, Explained, Variant, bounded_gaps, level_tables
from benchmarks.run.levels.allowed import BOUNDS, EXPLAINED_LEVELS, Bound
from benchmarks.run.stages.bounded_decisions import bounded_variant, reasons_at_own_cut
from benchmarks.run.stages.library_stage import LibraryStage, weighed_library
from experts.bagging import HonestBag, bag_fit, bag_folds
from experts.evidence import collect_evidence
from experts.expert import Expert
from gates.static_simplex import StaticSimplexGate
from metrics.evidence import Evidence
from metrics.procedural import procedural_points
from moe.decision import decided_points
from moe.mixture import Mixture
from tasks.load import load_task
from tasks.task import TaskView
from tests.benchmarks.run.stages.test_library import Line

TASK = load_task("scm@600")
VIEW = TASK.view()
FOLD = bag_folds(VIEW, 3, 0)
FEW = torch.arange(0, len(VIEW.split.validation), 2)
TEST_FEW = torch.arange(0, len(VIEW.split.test), 3)


def level_rows(*args, **further):
    return level_tables(*args, **further)["levels"]


class Blind(Line):
    """The same without most columns: its reasons are alike in all groups."""

    @classmethod
    def fitted(cls, view: TaskView, strength: float, role: str, family: str) -> Line:
        whole = Line.fitted(view, strength, role, family)
        keep = view.column_of_feature == int(view.column_of_feature[whole.weight.abs().argmax()])
        return cls(role, family, whole.weight * keep, whole.bias)


@pytest.fixture(scope="module")
def bags() -> list[HonestBag]:
    kinds = ((Line, "utility", "gbdt", 10.0), (Blind, "procedural", "linear", 1.0), (Line, "utility", "linear", 0.001))
    found = []
    for trial, (kind, role, family, strength) in enumerate(kinds):

        def fit(view: TaskView, of: tuple[type[Line], str, str, float] = (kind, role, family, strength)) -> Expert:
            return of[0].fitted(view, of[3], of[1], of[2])

        name = f"{family}/{role}/{trial}"
        found.append(HonestBag.of(VIEW, bag_fit(VIEW, fit, FOLD, name, family, role, trial), FOLD))
    return found


@pytest.fixture(scope="module")
def stage(bags: list[HonestBag]) -> LibraryStage:
    return weighed_library(VIEW, [bag.bag for bag in bags[:2]], FOLD, "adaptive", seed=0, floor=0.0)


def evidence(expert: Expert, part: Tensor, few: Tensor) -> Evidence:
    return collect_evidence(expert, VIEW, part, few)


@pytest.fixture(scope="module")
def explained(stage: LibraryStage) -> Explained:
    parts = VIEW.split.validation, VIEW.split.test
    seen, test = (evidence(stage.mixture, part, few) for part, few in zip(parts, (FEW, TEST_FEW), strict=True))
    return Explained(seen, test, (VIEW.groups[parts[0]], VIEW.groups[parts[1]]), 2)


@pytest.fixture(scope="module")
def allowed(stage: LibraryStage) -> tuple[Allowed, ...]:
    return bounded_gaps(reasons_at_own_cut(stage.mixture, VIEW, FEW))


@pytest.fixture(scope="module")
def variant(stage: LibraryStage, bags: list[HonestBag], explained: Explained, allowed: tuple[Allowed, ...]) -> Variant:
    return bounded_variant(stage, bags[2:], explained, allowed, 0)


def test_bounds_are_shares_of_the_trees(stage: LibraryStage, allowed: tuple[Allowed, ...]) -> None:
    found = collect_evidence(stage.mixture, VIEW, VIEW.split.validation[FEW])
    assert found.masked is not None and found.attributions is not None
    own = procedural_points(
        found.probability[None],
        found.masked[None],
        found.attributions[None],
        VIEW.groups[VIEW.split.validation[FEW]],
        2,
    )
    assert {(a.bound.name, a.level) for a in allowed if a.bound} == {
        (f"{m}<={share}", level) for m, (share, _) in BOUNDS.items() for level in EXPLAINED_LEVELS
    }
    for a in allowed:
        assert a.bound is not None
        assert a.bound.limit == pytest.approx(BOUNDS[a.bound.metric][1] * float(own[a.bound.metric][0]))
    assert bounded_gaps({"fair_proc@1": math.nan, "att_jsd@1": 0.0}) == ()


def test_bounds_and_gaps_are_kept_on_the_rows_that_choose(variant: Variant) -> None:
    reached = {a: choice for a, choice in variant.found.items() if choice is not None}
    assert {a.bound.metric for a in reached if a.bound} >= {"att_jsd@1"}
    for a, choice in reached.items():
        assert a.bound is not None and choice.cuts is not None
        assert choice.reasons[a.bound.metric][1] <= a.bound.limit
        assert choice.cuts.disparity <= a.limit


def test_what_is_told_is_what_the_mixture_itself_would_be_scored(
    variant: Variant, stage: LibraryStage, bags: list[HonestBag]
) -> None:
    """Of the decided model, chained and with its own most important column masked: as for any other cell."""
    models: tuple[Expert, ...] = (stage.mixture, *stage.fair, *bags[2:])
    checked = 0
    for a, choice in variant.found.items():
        if choice is None or a.bound is None or choice.cuts is None:
            continue
        shares = _shares(models, choice.test, choice.cuts)
        whole = Mixture(models, StaticSimplexGate(shares), chained=True)
        for place, part, few in ((0, VIEW.split.test, TEST_FEW), (1, VIEW.split.validation, FEW)):
            found = decided_points(evidence(whole, part, few), choice.cuts, VIEW.groups[part], 2)
            assert choice.reasons[a.bound.metric][place] == pytest.approx(found[a.bound.metric], abs=0.02)
        checked += 1
    assert checked


def _shares(models: tuple[Expert, ...], decided: Tensor, cuts: object) -> Tensor:
    """Shares [m] of the grid whose probabilities, cut as decided, are the given ones."""
    rows = VIEW.split.test
    members = torch.stack([torch.sigmoid(m.logits(VIEW, rows).double()) for m in models])
    for k in range(1, len(models)):
        for step in range(9):
            shares = torch.zeros(len(models), dtype=torch.float64)
            shares[0], shares[k] = 1 - step / 8, step / 8
            moved = cuts.apply(shares @ members, VIEW.groups[rows])  # type: ignore[attr-defined]
            if torch.allclose(moved, decided, atol=1e-6):
                return shares.float()
    raise AssertionError("no mixture of two members gives these probabilities")


def test_rows_of_the_table(variant: Variant, explained: Explained) -> None:
    chosen = explained.validation.probability, explained.test.probability
    rows = level_rows(*chosen, None, TASK, None, further=[variant], explained=explained)
    bounded = [r for r in rows if r["procedural"]]
    assert {(r["variant"], r["gap"]) for r in bounded} == {("decision", "fair_res@1")}
    assert {r["procedural"] for r in bounded} == {"fair_proc@1<=half", "att_jsd@1<=third"}
    (bound,) = (
        r for r in bounded if (r["procedural"], r["level"], r["metric"]) == ("att_jsd@1<=third", "any", "bound")
    )
    (value,) = (
        r for r in bounded if (r["procedural"], r["level"], r["metric"]) == ("att_jsd@1<=third", "any", "att_jsd@1")
    )
    assert value["validation"] <= bound["validation"]
    told = {(r["variant"], r["level"]) for r in rows if not r["procedural"] and r["metric"] == "fair_proc@1"}
    assert told == {("thresholds", level) for level in EXPLAINED_LEVELS}


def test_nothing_is_told_where_nothing_reaches_a_bound(
    stage: LibraryStage, bags: list[HonestBag], explained: Explained
) -> None:
    never = (Allowed("fair_res@1", "any", math.inf, Bound("att_jsd@1", "third", -1.0)),)
    variant = bounded_variant(stage, bags[2:], explained, never, 0)
    assert variant.found == {never[0]: None}
    chosen = explained.validation.probability, explained.test.probability
    rows = [r for r in level_rows(*chosen, None, TASK, None, further=[variant]) if r["procedural"]]
    assert {r["status"] for r in rows} == {"imputed"} and "att_jsd@1" not in {r["metric"] for r in rows}
