"""Where contenders stand over tasks, on cubes worked by hand."""

import math

import numpy as np
import pytest

from reports.levels.contenders import Contender
from reports.levels.reached import Reached
from reports.levels.standing import (
    Utilities,
    differences_of,
    gained_by,
    places_of,
    rank_range,
    standing_of,
    utilities,
)
from reports.method import Method
from reports.methods import MethodRow
from reports.stats.pooled_intervals import pooled_intervals

NOISE = 0.0004 * np.array([[1, -1, 2, -2, 0], [-1, 0, 1, 2, -2], [2, 1, -1, 0, -2], [0, 2, -2, 1, -1]])
"""[T, J] small differences, so that intervals are no points."""


def contender(name, variant="plain", place=0, **facts):
    return Contender(Method(MethodRow(name, name, **facts), place, "baseline", name), variant)


MIXTURE = contender("mixture", "decision", levels=(("mixture", "decision"),))
TREES = contender("trees", "thresholds", 1, levels=(("rival", "thresholds"),))
PLAIN_TREES = Contender(TREES.method, "plain")
OTHER = contender("other", "plain", 2)
TASKS = ("a", "b", "c", "d")


def reached(value, row=0, imputed=0):
    test = value + NOISE[row]
    return Reached(test, test, np.zeros(5), np.full(5, 0.05), np.arange(5) < imputed)


def by_task(imputed=0, **values):
    """Task → level → contender → what it reaches; values by name of the contender."""
    ids = {"mixture": MIXTURE.id, "trees": TREES.id, "plain": PLAIN_TREES.id, "other": OTHER.id}
    return {
        task: {"0.05": {ids[n]: reached(v, (t + i) % 4, imputed if n == "trees" else 0) for i, (n, v) in
                        enumerate(values.items())}}
        for t, task in enumerate(TASKS)
    }  # fmt: skip


EVERY = (MIXTURE, TREES, PLAIN_TREES, OTHER)


def cube_of(found, sources=None):
    return utilities(found, "0.05", EVERY, sources or {})


def test_a_task_on_fewer_rows_stands_back_for_the_full_one():
    found = by_task(mixture=0.8)
    found["a@100"] = found["b"]
    assert list(cube_of(found).tasks) == list(TASKS)
    del found["a"]
    assert "a@100" in cube_of(found).tasks


def test_who_has_no_row_has_no_utility_and_sources_are_told():
    found = by_task(mixture=0.8, trees=0.7)
    del found["b"]["0.05"][TREES.id]
    there = cube_of(found, {"a": "one", "c": "one"})
    assert there.cube.shape == (4, 4, 5) and np.isnan(there.cube[3]).all()
    assert np.isnan(there.cube[1, 1]).all() and not np.isnan(there.cube[1, [0, 2, 3]]).any()
    assert list(there.origin) == ["one", "b", "one", "d"] and there.sources == (0, 1, 0, 2)
    np.testing.assert_allclose(there.difference(MIXTURE.id, TREES.id)[0], 0.1 + NOISE[0] - NOISE[1])


def test_places_are_from_the_reference_and_count_what_stands_in():
    found = by_task(imputed=2, mixture=0.8, trees=0.7, other=0.6)
    places = places_of(found, {"0.05": cube_of(found)}, EVERY, TREES)
    own = places["0.05", MIXTURE.id]
    assert own.difference.mean == pytest.approx(0.1, abs=1e-3) and (own.imputed, own.cells) == (0, 20)
    assert places["0.05", OTHER.id].difference.mean == pytest.approx(-0.1, abs=1e-3)
    assert (places["0.05", TREES.id].imputed, places["0.05", TREES.id].cells) == (8, 20)
    assert ("0.05", PLAIN_TREES.id) not in places
    assert [places["0.05", c.id].ranks for c in (MIXTURE, TREES, OTHER)] == [(1, 1), (2, 2), (3, 3)]
    without = places_of(found, {"0.05": cube_of(found)}, EVERY, None)
    away = without["0.05", MIXTURE.id].difference
    assert math.isnan(away.mean) and away.n == 0


def test_ranks_that_cannot_be_told_apart_are_shared():
    cube = np.stack([0.8 + NOISE, 0.8 - NOISE, 0.5 + NOISE[::-1]])
    pairs = pooled_intervals(cube[:, None] - cube[None], (0, 1, 2, 3))
    assert [rank_range(pairs, row) for row in range(3)] == [(1, 2), (1, 2), (3, 3)]
    cube[0] += np.array([[0.01], [-0.01], [0.02], [-0.015]])  # ahead on average, and not surely
    pairs = pooled_intervals(cube[:, None] - cube[None], (0, 1, 2, 3))
    assert pairs["mean"][0, 1] > 0.001
    assert [rank_range(pairs, row) for row in range(3)] == [(1, 2), (1, 2), (3, 3)]


def test_who_meets_another_on_one_task_may_stand_before_or_behind_it_and_who_meets_nobody_stands_alone():
    found = by_task(mixture=0.8, trees=0.8, other=0.5)
    for task in TASKS:
        for met, id in (("a", TREES.id), ("", OTHER.id)):
            if task != met:
                del found[task]["0.05"][id]
    places = places_of(found, {"0.05": cube_of(found)}, EVERY, MIXTURE)
    assert {id: place.ranks for (_, id), place in places.items()} == {MIXTURE.id: (1, 2), TREES.id: (1, 2)}
    found["e"] = {"0.05": {OTHER.id: reached(0.5)}}
    places = places_of(found, {"0.05": cube_of(found)}, EVERY, MIXTURE)
    assert places["0.05", OTHER.id].ranks == (1, 1) and places["0.05", MIXTURE.id].ranks == (1, 2)


def test_tasks_of_fewer_splits_leave_the_last_places_empty():
    found = by_task(mixture=0.8)
    short = found["b"]["0.05"][MIXTURE.id]
    found["b"]["0.05"][MIXTURE.id] = Reached(*(v[:3] for v in (short.test, short.test, short.gap, short.limit)),
                                             short.imputed[:3])  # fmt: skip
    cube = cube_of(found).cube
    assert cube.shape == (4, 4, 5) and np.isnan(cube[0]).sum() == 2 and np.isnan(cube[0, 1, 3:]).all()


def test_mixtures_stand_against_rivals_and_against_nobody_else():
    found = by_task(mixture=0.8, trees=0.7, other=0.6)
    standing = standing_of({"0.05": cube_of(found)}, EVERY)
    assert list(standing) == [(MIXTURE.id, TREES.id, "0.05")]
    pooled = standing[MIXTURE.id, TREES.id, "0.05"]
    assert pooled.interval.mean == pytest.approx(0.1, abs=1e-3)
    assert (pooled.verdict, pooled.tasks, pooled.better, pooled.worse) == ("better", 4, 4, 0)
    assert standing_of({"0.05": cube_of(by_task(mixture=0.8))}, EVERY) == {}


def test_what_thresholds_add_is_told_of_methods_in_both_variants():
    found = by_task(mixture=0.8, trees=0.7, plain=0.75, other=0.6)
    gained = gained_by({"0.05": cube_of(found)}, EVERY)
    assert list(gained) == [("trees", "0.05")]
    assert gained["trees", "0.05"].interval.mean == pytest.approx(-0.05, abs=1e-3)
    assert (gained["trees", "0.05"].better, gained["trees", "0.05"].worse) == (0, 4)
    assert gained_by({"0.05": cube_of(found)}, (MIXTURE, TREES)) == {}
    for place, task in enumerate(TASKS):  # thresholds on two tasks, its own models on the others: nowhere both
        del found[task]["0.05"][(TREES, PLAIN_TREES)[place % 2].id]
    assert gained_by({"0.05": cube_of(found)}, EVERY) == {}


def test_one_question_is_corrected_over_its_differences():
    sources = (0, 1, 2, 3)
    alone = differences_of([0.0009 + 2 * NOISE], sources)[0]
    both = differences_of([0.0009 + 2 * NOISE, NOISE], sources)
    assert both[0].p_holm == pytest.approx(2 * alone.p_holm) and both[0].interval == alone.interval
    assert differences_of([], sources) == []


def test_utilities_of_no_task_are_empty():
    there = utilities({}, "0.05", EVERY, {})
    assert isinstance(there, Utilities) and there.cube.shape == (4, 0, 0)
