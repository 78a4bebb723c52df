"""Longest paths, bounds and schedules of small plans, worked by hand; properties of all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plan.scheduling.simulate import Conditions, simulate
from benchmarks.plan.scheduling.spread import measured_spread
from benchmarks.plan.scheduling.work import Work, longest_first

#      0 (2) ──> 2 (4) ──> 3 (1)
#      1 (3) ─────────────^
HAND = Work(np.array([2.0, 3.0, 4.0, 1.0]), [(), (), (0,), (1, 2)])


def test_the_longest_path_of_a_plan_worked_by_hand() -> None:
    assert HAND.rest.tolist() == [7.0, 4.0, 5.0, 1.0]
    assert (HAND.critical, HAND.total) == (7.0, 10.0)
    assert [HAND.bound(nodes) for nodes in (1, 2, 9)] == [10.0, 7.0, 7.0]
    assert longest_first(HAND.rest.tolist()) == [0, 2, 1, 3]


@pytest.mark.parametrize(("nodes", "makespan", "starts"), [(1, 10, [0, 6, 2, 9]), (2, 7, [0, 0, 2, 6])])
def test_a_schedule_worked_by_hand(nodes: int, makespan: float, starts: list[float]) -> None:
    found = simulate(HAND, nodes)
    assert (found.makespan, found.starts.tolist(), found.ratio) == (makespan, starts, 1.0)


def test_the_longest_way_first_beats_the_order_of_the_list() -> None:
    # three of 1 and one of 3 on two nodes: the long one last would end at 1 + 3, first at 3
    assert simulate(Work(np.array([1.0, 1.0, 1.0, 3.0]), [()] * 4), 2).makespan == 3.0


def test_overhead_is_added_to_every_unit() -> None:
    found = simulate(HAND, 1, Conditions(overhead=0.5))
    assert found.makespan == found.bound == 12.0


@st.composite
def plans(draw: st.DrawFn) -> Work:
    count = draw(st.integers(1, 25))
    seconds = draw(st.lists(st.integers(0, 20), min_size=count, max_size=count))
    after = [
        tuple(sorted(draw(st.sets(st.integers(0, place - 1), max_size=3)))) if place else () for place in range(count)
    ]
    return Work(np.array(seconds, dtype=float), after)


@settings(max_examples=60, deadline=None)
@given(plans(), st.integers(1, 6), st.integers(0, 3), st.sampled_from([None, 5.0, 100.0]))
def test_no_schedule_beats_its_bound_starts_too_early_or_takes_more_nodes(
    work: Work, nodes: int, seed: int, lifetime: float | None
) -> None:
    found = simulate(work, nodes, Conditions(lifetime=lifetime, repair=3.0, seed=seed))
    assert found.makespan >= found.bound - 1e-9
    ends = found.starts + work.seconds
    for place, before in enumerate(work.after):
        assert all(found.starts[place] >= ends[other] - 1e-9 for other in before)
    positive = np.flatnonzero(work.seconds)
    for place in positive:
        at_once = (found.starts[positive] <= found.starts[place]) & (ends[positive] > found.starts[place])
        assert at_once.sum() <= nodes
    if found.deaths == 0:  # Graham: list scheduling with any order
        assert found.makespan <= work.critical + work.total / nodes + 1e-9
        assert found.lost == 0


def test_the_same_seed_is_the_same_schedule_and_deaths_cost_time() -> None:
    work = Work(np.full(200, 10.0), [()] * 200)
    conditions = Conditions(spread=0.3, lifetime=100.0, repair=50.0, seed=3)
    first, again = simulate(work, 7, conditions), simulate(work, 7, conditions)
    assert (first.makespan, first.deaths, first.lost) == (again.makespan, again.deaths, again.lost)
    assert first.deaths > 0 < first.lost and first.makespan > simulate(work, 7, Conditions(spread=0.3, seed=3)).makespan


def test_the_spread_keeps_the_mean_of_the_seconds() -> None:
    work = Work(np.full(40_000, 10.0), [()] * 40_000)
    realised = simulate(work, 1, Conditions(spread=0.5)).makespan / len(work.seconds)
    error = 10 * math.sqrt((math.exp(0.25) - 1) / len(work.seconds))
    assert realised == pytest.approx(10.0, abs=4 * error)


def test_the_spread_of_parts_worked_by_hand() -> None:
    # logs of a: 0 and 2 around 1, of b: one job alone; c is too short to be believed
    ledgers = [("t", {"a": 1.0, "b": 5.0, "c": 0.001}), ("t", {"a": math.exp(2), "c": 0.05}), ("u", {"a": 9.0})]
    spread, degrees = measured_spread(ledgers)
    assert (spread, degrees) == (pytest.approx(math.sqrt(2)), 1)
    assert measured_spread([]) == (0.0, 0)
