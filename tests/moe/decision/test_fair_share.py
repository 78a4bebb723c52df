import math

import torch

from metrics.thresholds import margins_of
from moe.decision.fair_share import fair_shares
from moe.decision.problem import DecisionProblem
from tests.moe.decision.planted import world

LIMITS = [0.02, 0.05, math.inf]


def problem(fair: list[torch.Tensor], drawn) -> DecisionProblem:
    members = torch.stack([margins_of(drawn.probability), *fair])
    roles = ("utility", *["result"] * len(fair))
    return DecisionProblem(members, roles, drawn.labels, drawn.groups, 2, torch.arange(len(drawn.labels)) % 5, 1000)


def noise(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_without_fair_members_nothing_is_mixed_in():
    assert all(
        torch.equal(s, torch.ones(1, dtype=torch.float64))
        for s in fair_shares(problem([], world(500, 0)), "dp@1", LIMITS)
    )


def test_a_member_that_knows_nothing_gets_no_share():
    drawn = world(2000, 1)
    for shares in fair_shares(problem([noise(2000, 2)], drawn), "dp@1", LIMITS):
        assert shares.tolist() == [1.0, 0.0]


def test_a_member_that_knows_more_gets_a_share():
    """The utility mixture is noise here, and a fair member knows the truth."""
    drawn = world(2000, 3)
    blind = margins_of(drawn.blind[..., 1].sum(-1))
    asked = problem([blind], drawn)
    members = torch.stack([noise(2000, 4), blind])
    asked = DecisionProblem(members, asked.roles, asked.labels, asked.groups, 2, asked.fold, 1000)
    for shares in fair_shares(asked, "dp@1", [0.1, math.inf]):
        assert shares[1] > 0 and float(shares.sum()) == 1


def test_of_many_members_the_promising_ones_are_tried():
    drawn = world(1500, 5)
    blind = margins_of(drawn.blind[..., 1].sum(-1))
    members = torch.stack([noise(1500, 0), noise(1500, 1), noise(1500, 2), blind, noise(1500, 3)])
    roles = ("utility", "result", "result", "result", "result")
    asked = DecisionProblem(members, roles, drawn.labels, drawn.groups, 2, torch.arange(1500) % 3, 1000)
    (shares,) = fair_shares(asked, "fair_res@1", [0.1])
    assert shares[3] > 0


def test_members_of_other_roles_are_left_alone():
    drawn = world(1000, 6)
    members = torch.stack([noise(1000, 0), margins_of(drawn.probability)])
    asked = DecisionProblem(
        members, ("utility", "procedural"), drawn.labels, drawn.groups, 2, torch.arange(1000) % 3, 10
    )
    assert fair_shares(asked, "dp@1", [0.1])[0].tolist() == [1.0, 0.0]
