"""Moving the difficulty of a topic by bisection, with paths worked by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from llm_experts.generation.production.levels import LEAST, Levels
from tests.llm_experts.generation.production_fixtures import spec_of

SPEC = spec_of(10, "arithmetic")


def path(chance: Callable[[float | None], float], start: float | None, accepted: Callable[[float], bool]) -> Levels:
    """Levels as they are tried until they settle or one is good enough."""
    levels = Levels(SPEC, start, movable=True)
    for _ in range(20):
        value = chance(levels.current.difficulty)
        levels.current.count([accepted(value)] * LEAST, [value] * LEAST)
        levels.move()
    return levels


def inside(value: float) -> bool:
    return SPEC.success[0] <= value <= SPEC.success[1]


def difficulties(levels: Levels) -> list[float | None]:
    return [level.difficulty for level in levels.all]


def test_too_hard_goes_down_and_too_easy_up_to_the_middle_of_what_is_left() -> None:
    levels = path(lambda at: 1 - (at or 0), 1.0, inside)  # p = 0, .5, .75
    assert difficulties(levels) == [1.0, 0.5, 0.25] and not levels.settled
    levels = path(lambda at: 1 - (at or 0), 0.0, inside)  # p = 1, .5, .75
    assert difficulties(levels) == [0.0, 0.5, 0.25]
    assert difficulties(path(lambda at: 0.5 if at is None else 1 - at, None, inside)) == [None, 0.25]


def test_where_none_helps_both_ends_are_tried_and_the_best_stays() -> None:
    levels = path(lambda at: 0.2, 0.5, inside)
    assert difficulties(levels) == [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.0]
    assert levels.settled and levels.current is levels.all[0]  # none accepted any: the first of equals
    assert difficulties(path(lambda at: 0.99, 0.5, inside))[-1] == 1.0
    assert difficulties(path(lambda at: 0.2, 0.0, inside)) == [0.0]  # nothing is easier


def test_no_move_without_a_measured_chance_or_where_its_mean_is_right() -> None:
    unknown = path(lambda at: math.nan, 0.5, lambda value: False)
    assert difficulties(unknown) == [0.5] and unknown.settled and not unknown.moved
    assert difficulties(path(lambda at: 0.75, 0.5, lambda value: False)) == [0.5]


def test_nothing_is_judged_by_few_drafts() -> None:
    levels = Levels(SPEC, 1.0, movable=True)
    levels.current.count([False] * (LEAST - 1), [0.1] * (LEAST - 1))
    assert not levels.move()
    levels.current.count([False], [math.nan])
    assert levels.move() and levels.current.difficulty == 0.5
    assert levels.all[0].chance == pytest.approx(0.1)


def test_hopeless_is_said_by_the_upper_end_of_the_interval() -> None:
    levels = Levels(SPEC, 0.0, movable=False)
    levels.current.count([True] * 5 + [False] * 45, [0.5] * 50)  # Wilson: .043 to .214
    assert levels.hopeless(missing=22, left=100) and not levels.hopeless(missing=21, left=100)
    few = Levels(SPEC, 0.0, movable=False)
    few.current.count([False] * LEAST, [0.0] * LEAST)
    assert not few.hopeless(100, 1)
