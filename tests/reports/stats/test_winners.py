"""Who wins: by hand."""

import math

import numpy as np

from reports.names import DISPARITY, HEADLINE, UTILITY
from reports.stats.estimate import Estimate
from reports.stats.winners import front_members, rank_intervals, winner
from tests.reports.conftest import method

WOBBLE = np.array([0.001, -0.001, 0.002, -0.002, 0.0])
NAN = math.nan


def estimate(mean, degenerate=0, asked=4, null=NAN):
    return Estimate(mean, mean - 0.01, mean + 0.03, NAN, NAN, null, asked, asked, degenerate, (), ())


def made(**points):
    """Methods in the order given; a point is (validation utility, validation gap, degenerate splits of four)."""
    methods = [method(name, place) for place, name in enumerate(points, start=1)]
    validation = {}
    for name, (utility, gap, degenerate) in points.items():
        validation |= {(name, UTILITY): estimate(utility), (name, DISPARITY): estimate(gap, degenerate)}
    return methods, validation


def values(**utilities):
    found = {(name, UTILITY): np.asarray(own, dtype=float) for name, own in utilities.items()}
    return found | {(name, DISPARITY): np.array([0.05, 0.2, NAN, 0.01, 0.06]) for name in utilities}


def test_the_winner_reaches_the_level_on_validation_rows_and_is_told_on_test_rows():
    methods, validation = made(first=(0.80, 0.05, 0), second=(0.82, 0.10, 0), third=(0.81, 0.10, 0))
    test = values(first=0.7 + WOBBLE, second=0.6 + WOBBLE, third=0.9 + WOBBLE)
    strict = winner(0.05, methods, test, validation)
    assert strict.method.id == "first" and [m.id for m in strict.eligible] == ["first"], "a gap of exactly the level"
    assert (strict.kept, strict.splits) == (2, 4), "a gap of exactly the level keeps it; no gap is no split"
    wide = winner(0.10, methods, test, validation)
    assert wide.method.id == "second" and len(wide.eligible) == 3
    every = winner(None, methods, test, validation)
    assert every.method.id == "second" and (every.kept, every.splits) == (4, 4)
    nobody = winner(0.01, methods, test, validation)
    assert nobody.method is None and (nobody.kept, nobody.splits, nobody.tied, nobody.eligible) == (0, 0, (), ())


def test_of_equals_the_later_and_simpler_method_wins():
    methods, validation = made(mixture=(0.8, 0.05, 0), plain=(0.8, 0.05, 0))
    assert winner(0.1, methods, values(mixture=WOBBLE, plain=WOBBLE), validation).method.id == "plain"


def test_tied_are_those_that_are_not_surely_lower():
    methods, validation = made(best=(0.9, 0.0, 0), same=(0.8, 0.0, 0), lower=(0.7, 0.0, 0), higher=(0.6, 0.0, 0))
    test = values(best=0.8 + WOBBLE, same=0.8 - WOBBLE, lower=0.7 - WOBBLE, higher=0.9 - WOBBLE)
    assert [m.id for m in winner(None, methods, test, validation).tied] == ["same", "higher"]


def test_a_constant_wins_nothing_and_is_on_no_front():
    methods, validation = made(constant=(0.9, 0.0, 2), expert=(0.8, 0.1, 1), unknown=(NAN, 0.0, 0))
    test = values(constant=0.9 + WOBBLE, expert=0.8 + WOBBLE, unknown=WOBBLE)
    assert winner(None, methods, test, validation).method.id == "expert"
    assert front_members(methods, validation) == {"expert"}
    validation.pop(("expert", DISPARITY))
    assert winner(None, methods, test, validation).method is None and front_members(methods, validation) == frozenset()


def test_the_front_is_that_of_validation_means():
    methods, validation = made(fair=(0.7, 0.0, 0), useful=(0.9, 0.2, 0), beaten=(0.7, 0.1, 0))
    assert front_members(methods, validation) == {"fair", "useful"}


def test_ranks_follow_the_direction_of_each_headline_metric():
    methods, _ = made(one=(0.0, 0.0, 0), two=(0.0, 0.0, 0), none=(0.0, 0.0, 0))
    test = {("one", metric): 0.8 + WOBBLE for metric in HEADLINE} | {("two", m): 0.5 - WOBBLE for m in HEADLINE}
    test |= {("none", metric): np.full(5, NAN) for metric in HEADLINE}
    found = rank_intervals(methods, test)
    assert set(found) == {(name, metric) for name in ("one", "two") for metric in HEADLINE}
    assert found["one", UTILITY] == (1, 1) and found["two", UTILITY] == (2, 2)
    assert found["one", DISPARITY] == (2, 2) and found["two", DISPARITY] == (1, 1)


def test_a_lower_value_that_noise_may_explain_is_tied():
    methods, validation = made(best=(0.9, 0.0, 0), unsure=(0.8, 0.0, 0))
    test = values(best=0.8 + WOBBLE, unsure=0.799 - 4 * WOBBLE)
    assert [m.id for m in winner(None, methods, test, validation).tied] == ["unsure"]


def test_a_split_without_a_number_does_not_take_a_rank_away():
    methods, _ = made(one=(0.0, 0.0, 0), two=(0.0, 0.0, 0))
    holed = 0.8 + WOBBLE
    holed[2] = NAN
    found = rank_intervals(methods, {("one", UTILITY): holed, ("two", UTILITY): 0.5 - WOBBLE})
    assert found == {("one", UTILITY): (1, 1), ("two", UTILITY): (2, 2)}
