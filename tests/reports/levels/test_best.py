"""Who wins at a level, and who cannot be told from the winner."""

import numpy as np
import pytest

from reports.levels.best import best_at
from reports.levels.contenders import Contender
from reports.levels.reached import Reached
from reports.method import Method
from reports.methods import MethodRow
from reports.stats.statistics import corrected_interval

SPLITS = np.linspace(-1, 1, 5)


def reached(behind, validation):
    """Test utilities that lie ``behind`` [5] those of a winner."""
    test = 0.8 + 0.01 * SPLITS
    return Reached(test - behind, np.full(5, validation), np.zeros(5), np.full(5, 0.05), np.zeros(5, dtype=bool))


def at(**rivals):
    """The best of a winner and its rivals, whose validation utility is a little less."""
    own = {"winner": reached(np.zeros(5), 0.9)} | {name: reached(by, 0.8) for name, by in rivals.items()}
    contenders = [Contender(Method(MethodRow(name, name), i, "baseline", name), "plain") for i, name in enumerate(own)]
    return best_at("0.05", {(name, "plain"): one for name, one in own.items()}, contenders, list(own))


def test_who_is_surely_behind_is_not_tied_and_who_may_be_is():
    found = at(far=0.1 + 0.001 * SPLITS, near=0.01 + 0.05 * SPLITS, ahead=-0.1 + 0.001 * SPLITS)
    assert found.winner.id == ("winner", "plain") and found.eligible == 4
    assert [c.method.id for c in found.tied] == ["near", "ahead"]


def test_of_two_that_are_hardly_behind_neither_is_surely_so():
    """Each alone has p of 4 %: less than 5 %; together Holm's rule asks for 2.5 %."""
    behind = 0.0197 + 0.01 * SPLITS
    assert 0.035 < corrected_interval(behind).p < 0.045
    assert at(one=behind).tied == ()
    assert [c.method.id for c in at(one=behind, other=behind).tied] == ["one", "other"]


@pytest.mark.parametrize("name", ["validation", "limit"])
def test_what_is_not_known_does_not_win(name):
    assert at().winner is not None and at().tied == ()
    values = {"validation": np.full(5, 0.9), "limit": np.full(5, 0.05)} | {name: np.full(5, np.nan)}
    lost = Reached(np.ones(5), values["validation"], np.zeros(5), values["limit"], np.zeros(5, dtype=bool))
    one = Contender(Method(MethodRow("lost", "lost"), 0, "baseline", "lost"), "plain")
    none = best_at("0.05", {one.id: lost}, [one], ["lost"])
    assert none.winner is None and none.eligible == 0


def one(name, variant, test, validation, imputed=0):
    """A contender and what it reaches on five splits; ``imputed`` of them have no own model."""
    arrays = [np.broadcast_to(np.asarray(values, dtype=float), 5) for values in (test, validation, 0.0, 0.05)]
    found = Reached(*arrays, np.arange(5) < imputed)
    return Contender(Method(MethodRow(name, name), 0, "baseline", name), variant), found


def of(*own, asked=()):
    return best_at("0.05", {c.id: r for c, r in own}, [c for c, _ in own], [c.method.id for c, _ in own] + [*asked])


def test_the_winner_is_the_first_of_those_with_the_highest_validation_mean():
    found = of(one("trees", "plain", 0.5, 0.8), one("trees", "thresholds", 0.9, 0.8), one("low", "plain", 0.99, 0.7))
    assert found.winner.id == ("trees", "plain") and found.eligible == 3 and found.level == "0.05"
    assert found.reached.test.tolist() == [0.5] * 5
    means = of(one("even", "plain", 0.5, 0.8), one("holes", "plain", 0.5, [np.nan, np.nan, 0.7, 0.9, 0.95]))
    assert means.winner.method.id == "holes"


def test_who_does_not_reach_the_level_neither_wins_nor_ties():
    found = of(one("imputed", "plain", 0.9, 0.99, imputed=3), one("own", "plain", 0.7, 0.8, imputed=2))
    assert found.winner.method.id == "own" and (found.eligible, found.tied) == (1, ())


def test_methods_that_failed_are_unknown_whether_or_not_another_reaches_the_level():
    own = (one("trees", "plain", 0.7, 0.8), one("trees", "thresholds", 0.7, 0.8))
    assert of(*own, asked=("failed", "gone")).unknown == 2 and of(*own).unknown == 0
    nobody = of(one("imputed", "plain", 0.7, 0.8, imputed=5), asked=("failed",))
    assert (nobody.winner, nobody.reached, nobody.tied, nobody.eligible, nobody.unknown) == (None, None, (), 0, 1)


def test_one_without_any_difference_is_tied():
    found = of(one("winner", "plain", 0.8, 0.9), one("same", "plain", 0.8, 0.85))
    assert [c.method.id for c in found.tied] == ["same"]
