from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from experts.networks.lanes import LaneParameters
from experts.networks.mlp import MLPExpert
from gates.dense import DenseGate, initial_tensors
from gates.uniform import UniformGate
from moe.mixture import Mixture
from moe.routing import (
    gap_decomposition,
    oracle_gap,
    routing_disparity,
    routing_flip,
    routing_report,
    routing_table,
    specialisation,
)
from tasks.columns import Flip

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.task import TaskView

WEIGHTS = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.2, 0.8], [0.0, 1.0]])
PROBABILITIES = torch.tensor([[0.9, 0.1], [0.6, 0.2], [0.5, 0.7], [0.3, 0.4]])
GROUPS = torch.tensor([0, 0, 1, 1])


def random_case(seed: int, n_groups: int) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    weights = torch.softmax(3 * torch.randn(80, 3, generator=g), -1)
    return weights, torch.rand(80, 3, generator=g), torch.randint(0, n_groups, (80,), generator=g)


def test_table_of_a_known_routing() -> None:
    rows = routing_table(WEIGHTS, PROBABILITIES, GROUPS * 2, ("a", "empty", "b"), ("u", "r"))
    assert [(r["group"], r["expert"]) for r in rows] == [("a", "u"), ("a", "r"), ("b", "u"), ("b", "r")]
    assert rows[0]["weight"] == pytest.approx(0.75)
    assert rows[0]["top1"] == 1.0
    assert rows[0]["expert_rate"] == pytest.approx((0.9 + 0.3) / 1.5)
    assert rows[3]["weight"] == pytest.approx(0.9)


@given(st.integers(0, 10_000), st.integers(2, 4), st.booleans())
def test_decomposition_is_exact(seed: int, n_groups: int, opportunity: bool) -> None:
    weights, probabilities, groups = random_case(seed, n_groups)
    among = torch.arange(80) % 2 == 0 if opportunity else None
    parts = gap_decomposition(weights, probabilities, groups, n_groups, among)
    assert parts is not None
    rows = torch.ones(80, dtype=torch.bool) if among is None else among
    mixed = (weights.double() * probabilities.double()).sum(-1)
    rates = [float(mixed[rows & (groups == s)].mean()) for s in range(n_groups)]
    assert parts.total == pytest.approx(max(rates) - min(rates), abs=1e-9)
    assert parts.routing + parts.within == pytest.approx(parts.total, abs=1e-9)


def test_equal_weights_leave_no_routing_part_and_equal_experts_no_within_part() -> None:
    weights, probabilities, groups = random_case(1, 2)
    same = gap_decomposition(torch.full_like(weights, 1 / 3), probabilities, groups, 2)
    flat = gap_decomposition(weights, torch.tensor([[0.1, 0.5, 0.9]]).expand(80, 3), groups, 2)
    assert same is not None
    assert flat is not None
    assert same.routing == pytest.approx(0, abs=1e-9)
    assert flat.within == pytest.approx(0, abs=1e-8)


def test_an_expert_that_one_group_never_gets_is_exact_too() -> None:
    weights = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.5, 0.5]])
    parts = gap_decomposition(weights, PROBABILITIES, GROUPS, 2)
    assert parts is not None
    assert parts.routing + parts.within == pytest.approx(parts.total, abs=1e-9)


def test_one_group_has_no_gap() -> None:
    assert gap_decomposition(WEIGHTS, PROBABILITIES, torch.zeros(4, dtype=torch.int64), 2) is None
    assert math.isnan(routing_disparity(WEIGHTS, torch.zeros(4, dtype=torch.int64), 2, seed=0).jsd)


def test_disjoint_routing_is_the_largest_disparity() -> None:
    groups = torch.arange(100) % 2
    disparity = routing_disparity(torch.nn.functional.one_hot(groups, 2).float(), groups, 2, seed=0, shuffles=99)
    assert disparity.jsd == pytest.approx(1.0)
    assert disparity.tv == disparity.top1_tv == pytest.approx(1.0)
    assert disparity.p_value == pytest.approx(0.01)
    assert disparity.null_p95 < 0.2


def test_random_routing_sits_inside_its_null() -> None:
    weights, _, groups = random_case(5, 2)
    disparity = routing_disparity(weights, groups, 2, seed=0)
    assert disparity.p_value > 0.05
    assert disparity == routing_disparity(weights, groups, 2, seed=0)


def test_specialisation_of_hand_cases() -> None:
    split = specialisation(torch.eye(2), torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    assert split.effective_experts == pytest.approx(2)
    assert split.row_experts == pytest.approx(1)
    assert split.disagreement == pytest.approx(0.5)
    assert specialisation(torch.tensor([[1.0, 0.0]]), torch.rand(1, 2)).effective_experts == pytest.approx(1)


def test_oracle_gap_of_known_experts() -> None:
    labels, groups = torch.tensor([1, 0, 1, 0]), torch.tensor([0, 0, 1, 1])
    logits = torch.tensor([[4.0, -5], [-4, 5], [-5, 4], [5, -4]])
    perfect = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    gap = oracle_gap(perfect, logits, labels, groups, 2)
    assert (gap.oracle, gap.regret, gap.closed) == (1.0, 0.0, 1.0)
    half = oracle_gap(torch.full((4, 2), 0.5), logits, labels, groups, 2)
    assert half.closed == 0.0
    assert half.regret > 0.5


@pytest.fixture
def view(make_view: Callable[..., TaskView]) -> TaskView:
    g = torch.Generator().manual_seed(0)
    features = torch.randn(60, 4, generator=g)
    features[:, 1] = torch.randint(0, 2, (60,), generator=g) * 2.0 - 1
    base = make_view(features, (features[:, 0] > 0).long(), (features[:, 1] > 0).long(), sensitive=1)
    values = torch.zeros(2, 4)
    values[:, 1] = torch.tensor([-1.0, 1.0])
    return dataclasses.replace(base, flip=Flip(torch.tensor([False, True, False, False]), values, ({},) * len(values)))


def mixture(view: TaskView, *, hide: bool) -> Mixture:
    g = torch.Generator().manual_seed(4)
    tensors = initial_tensors(4, 2, 8, torch.full((2,), 0.5), g)
    tensors["score_weight"] = torch.randn(8, 2, generator=g)
    visible = torch.tensor([1.0, 0.0 if hide else 1.0, 1.0, 1.0])
    experts = []
    for seed, role in enumerate(("utility", "result")):
        parameters = LaneParameters.initial(4, 6, [seed])
        if hide:
            parameters.theta.view(-1)[: 6 * 5].view(6, 5)[:, 1] = 0
        experts.append(MLPExpert(role, parameters, view.feature_names, view.hash))
    return Mixture(tuple(experts), DenseGate(**tensors, visible=visible, temperature=torch.tensor(1.0)))


def test_routing_flip_is_zero_exactly_when_nothing_sees_the_sensitive_column(view: TaskView) -> None:
    rows = torch.arange(60)
    seen, hidden = (routing_flip(mixture(view, hide=hide), view, rows) for hide in (False, True))
    assert seen is not None
    assert hidden is not None
    assert seen.tv > 0
    assert (hidden.tv, hidden.top1) == (0.0, 0.0)
    assert routing_flip(mixture(view, hide=False), dataclasses.replace(view, flip=None), rows) is None


def test_report_is_consistent(view: TaskView) -> None:
    report = routing_report(mixture(view, hide=False), view, torch.arange(60), seed=0, shuffles=50)
    values = {name: value.estimate for name, value in report.values.items()}
    for gap in ("soft_dp", "soft_eopp"):
        assert values[f"{gap}@1"] == pytest.approx(values[f"{gap}_routing@1"] + values[f"{gap}_within@1"], abs=1e-9)
    assert not math.isnan(report.values["routing_jsd@1"].null_p95)
    assert {(row["group"], row["expert"]) for row in report.rows} == {
        (group, role) for group in ("g0", "g1") for role in ("utility", "result")
    }
    assert all(sum(r["weight"] for r in report.rows if r["group"] == s) == pytest.approx(1) for s in ("g0", "g1"))


def test_report_says_what_cannot_be_estimated(view: TaskView) -> None:
    blind = dataclasses.replace(view, flip=None)
    single = Mixture(mixture(view, hide=False).experts, UniformGate(2))
    report = routing_report(single, blind, torch.nonzero(view.groups == 0).flatten(), seed=0, shuffles=10)
    for name in ("routing_jsd@1", "soft_dp@1", "routing_flip_tv@1"):
        assert report.values[name].status == "not_estimable"
        assert report.values[name].reason
