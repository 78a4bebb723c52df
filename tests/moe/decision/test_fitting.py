import dataclasses
import math

import pytest
import torch

from metrics.evidence import Evidence
from metrics.points import point_values
from metrics.thresholds import margins_of
from moe.decision import (
    DecisionProblem,
    Demand,
    MaskedColumns,
    ProceduralBound,
    Reasons,
    fit_decision,
    fit_decisions,
)
from moe.decision.problem import ExplainedRows, blend
from moe.decision.procedural_bound import mixed_evidence
from tests.moe.decision.planted import world

DRAWN = world(2000, 1)
PROBLEM = DRAWN.problem()


def test_blend_mixes_probabilities_not_margins():
    members = torch.tensor([[0.0, 2.0], [1.0, -1.0], [math.nan, math.nan]])
    found = blend(members, torch.tensor([0.25, 0.75, 0.0]))
    assert found.tolist() == pytest.approx((0.25 * members[0].sigmoid() + 0.75 * members[1].sigmoid()).tolist())


def test_demands_are_kept_on_the_rows_that_choose_and_a_margin_is_kept_too():
    demands = [
        Demand(gap, limit, kappa) for gap in ("dp@1", "fair_res@1") for limit in (0.05, 0.1) for kappa in (1, 0.6)
    ]
    for demand, found in zip(demands, fit_decisions(PROBLEM, demands), strict=True):
        assert found is not None and found.disparity <= demand.kappa * demand.limit
        assert found.kappa == demand.kappa and 0 <= found.transfer <= found.ceiling + 0.05
        moved = found.apply(PROBLEM.members, PROBLEM.groups)
        own = moved[(PROBLEM.groups == 0)] > 0.5
        assert float(own.double().mean()) == pytest.approx(float(found.rates[0]))


def test_one_by_one_or_together_is_the_same():
    demands = [Demand("dp@1", 0.05), Demand("fair_res@1", 0.1, 0.8)]
    for together, demand in zip(fit_decisions(PROBLEM, demands), demands, strict=True):
        alone = fit_decision(PROBLEM, demand)
        assert torch.equal(alone.rule.cuts, together.rule.cuts) and alone.transfer == together.transfer


def test_scores_do_not_only_encode_decisions():
    """Within a group the order of probabilities stays, and no probability is pushed to the cut."""
    found = fit_decision(PROBLEM, Demand("dp@1", 0.02))
    moved = found.apply(PROBLEM.members, PROBLEM.groups)
    for group in (0, 1):
        mine = PROBLEM.groups == group
        assert torch.equal(moved[mine].argsort(stable=True), PROBLEM.members[0, mine].argsort(stable=True))


def test_any_gap_is_at_least_as_good_as_the_mixtures_own_cut():
    found = fit_decision(PROBLEM, Demand("fair_res@1", math.inf, transfer=0.9))
    moved = found.apply(PROBLEM.members, PROBLEM.groups)
    known = PROBLEM.labels, PROBLEM.groups, 2
    plain, own = point_values(torch.stack((DRAWN.probability, moved)), *known, metrics=["utility@1"])["utility@1"]
    assert own >= plain - 0.005 and found.transfer == 1


def test_a_worst_rate_is_a_lower_bound_and_its_margin_goes_up():
    demand = Demand("worst_tpr@1", 0.8, kappa=0.5)
    assert demand.inner(0.5) == pytest.approx(0.9)
    assert fit_decision(PROBLEM, demand).disparity >= 0.9


def test_what_cannot_be_kept_is_none():
    constant = dataclasses.replace(PROBLEM, members=torch.zeros_like(PROBLEM.members))
    assert fit_decision(constant, Demand("dp@1", 0.05)) is None
    assert fit_decision(constant, Demand("dp@1", 0.05, transfer=0.9)) is None


def test_batch_keeps_the_rates_on_its_batch_without_labels():
    found = fit_decision(PROBLEM, Demand("dp@1", 0.02, mode="batch"))
    new = world(700, 9)
    shifted = margins_of(new.probability)[None] + 1.5 * new.groups  # scores that drifted
    moved = found.apply(shifted, new.groups)
    for group in (0, 1):
        mine = new.groups == group
        assert float((moved[mine] > 0.5).double().mean()) == pytest.approx(
            float(found.rates[group]), abs=1 / int(mine.sum())
        )
    drifted = fit_decision(PROBLEM, Demand("dp@1", 0.02)).apply(shifted, new.groups)
    assert (
        float(point_values(torch.stack((moved, drifted)), new.labels, new.groups, 2, metrics=["dp@1"])["dp@1"][0])
        < 0.03
    )


def test_a_group_without_rows_in_the_batch_keeps_its_cut():
    found = fit_decision(PROBLEM, Demand("dp@1", 0.02, mode="batch"))
    alone = found.apply(torch.linspace(-2, 2, 40)[None], torch.zeros(40, dtype=torch.int64))
    assert float((alone > 0.5).double().mean()) == pytest.approx(float(found.rates[0]), abs=1 / 40)


def test_a_blind_decision_does_not_look_at_groups():
    problem = DRAWN.problem(blind=True)
    found = fit_decision(problem, Demand("dp@1", 0.05, mode="blind"))
    assert found.disparity <= 0.05
    one = found.apply(problem.members, joint=DRAWN.blind)
    assert torch.equal(one, found.apply(problem.members, 1 - problem.groups, DRAWN.blind))


@pytest.mark.parametrize(
    ("demand", "text"),
    [
        (Demand(mode="blind"), "joint"),
        (Demand(procedural=ProceduralBound("att_jsd@1", 0.1)), "explained rows"),
    ],
)
def test_what_a_demand_needs_is_told(demand, text):
    with pytest.raises(ValueError, match=text):
        fit_decision(PROBLEM, demand)


@pytest.mark.parametrize(
    "wrong",
    [{"gap": "acc@1"}, {"kappa": 0.0}, {"kappa": 1.5}, {"transfer": 1.0}, {"mode": "clairvoyant"}],
)
def test_demands_are_checked(wrong):
    with pytest.raises(ValueError):
        Demand(**wrong)


def test_problems_are_checked():
    with pytest.raises(ValueError, match="roles"):
        dataclasses.replace(PROBLEM, roles=("result",))
    with pytest.raises(ValueError, match="no number"):
        dataclasses.replace(PROBLEM, members=PROBLEM.members * math.nan)
    with pytest.raises(ValueError, match="shapes"):
        dataclasses.replace(PROBLEM, fold=PROBLEM.fold[:-1])
    with pytest.raises(ValueError, match="cannot be bounded"):
        ProceduralBound("dp@1", 0.1)


# --- bounds on reasons


def explained_problem() -> DecisionProblem:
    """The utility mixture looks at one column in each group, at another one; the procedural member looks at both."""
    members = torch.stack((margins_of(DRAWN.probability), margins_of(DRAWN.blind[..., 1].sum(-1))))
    rows = torch.arange(0, 2000, 4)
    groups = DRAWN.groups[rows]
    one, both = torch.nn.functional.one_hot(groups, 2).double(), torch.ones(len(rows), 2).double()
    parts = [
        Evidence(
            torch.sigmoid(members[k, rows]),
            a,
            torch.full((len(rows),), 0.5),
            torch.sigmoid(members[k, rows])[:, None].repeat(1, 2),
        )
        for k, a in enumerate((one, both))
    ]
    return DecisionProblem(
        members, ("utility", "procedural"), DRAWN.labels, DRAWN.groups, 2, PROBLEM.fold, 1000,
        explained=ExplainedRows(rows, parts),
    )  # fmt: skip


def test_a_bound_on_reasons_is_kept_by_a_share_of_procedural_members():
    problem = explained_problem()
    loose, tight = fit_decisions(
        problem, [Demand("dp@1", 0.1, procedural=ProceduralBound("att_jsd@1", bound)) for bound in (1.0, 0.3)]
    )
    assert loose.procedural > 0.3
    assert tight.procedural <= 0.3 and tight.shares[1] > 0 and tight.disparity <= 0.1
    assert tight.worth <= loose.worth


def test_a_bound_that_nothing_keeps_is_none():
    bound = ProceduralBound("fair_proc@1", -1.0)
    assert fit_decision(explained_problem(), Demand("dp@1", 0.1, procedural=bound)) is None


def test_flips_are_bounded_with_each_groups_own_cut():
    """Probabilities do not change with the group here: flips come from the thresholds alone."""
    problem = explained_problem()
    (found,) = fit_decisions(problem, [Demand("dp@1", 0.05, procedural=ProceduralBound("cfr@1", 1.0))])
    assert found.procedural > 0.05


def test_evidence_of_a_mixture():
    parts = [
        (0.25, Evidence(torch.tensor([0.2]), torch.tensor([[1.0, 0.0]]), torch.tensor([0.4]))),
        (0.75, Evidence(torch.tensor([0.6]), torch.tensor([[0.0, 2.0]]), torch.tensor([0.5]))),
    ]
    mixed = mixed_evidence(parts, "fair_proc@1")
    assert float(mixed.probability) == pytest.approx(0.5) and float(mixed.masked) == pytest.approx(0.475)
    assert mixed.attributions[0].tolist() == pytest.approx([0.25 * 0.16 / 0.25, 2 * 0.75 * 0.24 / 0.25])
    alone = mixed_evidence([(1.0, parts[1][1])], "fair_proc@1")
    assert torch.allclose(alone.attributions, parts[1][1].attributions.double())
    with pytest.raises(ValueError, match="attributions and masked"):
        mixed_evidence([(1.0, Evidence(torch.tensor([0.2])))], "ref@1")
    with pytest.raises(ValueError, match="counterfactual"):
        mixed_evidence(parts, "cfr@1")


def test_members_are_asked_once_and_the_mixture_masks_its_own_most_important_column():
    """Two rows, two columns: with column c unknown a member says .1 (1 + c) more than half."""
    asked = []

    def ask(member, positions, columns):
        asked.extend((member, *pair) for pair in zip(positions.tolist(), columns.tolist(), strict=True))
        return 0.5 + 0.1 * (1 + columns.double()) + 0.2 * member

    half = torch.tensor([0.5, 0.5])
    members = [
        Evidence(half, torch.tensor([[1.0, 0.0], [1.0, 0.0]])),
        Evidence(half, torch.tensor([[0.0, 2.0], [0.5, 0.0]])),
    ]
    reasons = Reasons(members, torch.tensor([0, 1]), 2, MaskedColumns(ask))
    shares = [torch.tensor(s, dtype=torch.float64) for s in ([1.0, 0.0], [0.5, 0.5])]
    reasons.prepare(shares, "fair_proc@1")
    # alone the first column leads in both rows; mixed the second one does in the first row
    assert sorted(asked) == [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 1), (1, 1, 0)]
    assert reasons.mixed(shares[0], "fair_proc@1").masked.tolist() == pytest.approx([0.6, 0.6])
    assert reasons.mixed(shares[1], "fair_proc@1").masked.tolist() == pytest.approx([0.8, 0.7])
    assert len(asked) == 5


def test_any_member_may_keep_a_bound():
    problem = dataclasses.replace(explained_problem(), roles=("utility", "result"))
    bound = ProceduralBound("att_jsd@1", 0.3)
    assert fit_decision(problem, Demand("dp@1", 0.1, procedural=bound)).shares[1] > 0
