import itertools
import math

import numpy as np
import pandas as pd
import pytest

from reports.stats.budget import best_of, budget
from reports.summary import summarise
from reports.table import read_results
from tests.reports.levels.level_fixtures import made_trials


@pytest.fixture(scope="module")
def small(make_run, tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("budget"), tasks=("german",), methods=("utility", "result"), splits=3)
    return summarise(read_results(folder))


def test_hand_worked_case():
    # validation 1 < 2 < 3; test values 10, 30, 20. One of three: 20; the best of two: 3 twice of three times, else 2
    values = best_of(np.array([1.0, 3.0, 2.0]), np.array([10.0, 20.0, 30.0]), np.array([True] * 3))
    assert values == pytest.approx([20.0, (2 * 20 + 30) / 3, 20.0])


def every_draw(validation, test, usable, k):
    found = []
    for draw in itertools.combinations(range(len(validation)), k):
        able = [i for i in draw if usable[i]]
        if able:
            found.append(test[max(able, key=lambda i: (validation[i], -i))])
    return np.mean(found)


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_mean_over_all_draws(seed):
    rng = np.random.default_rng(seed)
    validation, test = rng.integers(4, size=7) / 4.0, rng.normal(size=7)  # with ties
    usable = rng.random(7) < 0.7
    usable[0] = True
    found = best_of(validation, test, usable)
    assert found == pytest.approx([every_draw(validation, test, usable, k) for k in range(1, 8)])


def test_more_trials_never_hurt_where_validation_is_test():
    values = np.random.default_rng(1).normal(size=30)
    curve = best_of(values, values, np.ones(30, dtype=bool))
    assert (np.diff(curve) > 0).all() and curve[-1] == pytest.approx(values.max())
    assert curve[0] == pytest.approx(values.mean())


def test_what_halving_stopped_was_started_and_counts(small):
    """Four trials were started, two ran to their end: the curve is of four, and a stopped one may be the best."""
    scores, method = next(iter(small.scenarios)), small.methods[0]
    rows = pd.DataFrame(made_trials(("german",), (method.id,), 1))
    rows = rows.iloc[:4].assign(trial=range(4), state=["ok", "pruned", "ok", "pruned"])
    rows = rows.assign(utility_validation=[0.6, 0.7, 0.5, 0.4], utility_test=[0.60, 0.65, 0.50, 0.45])
    (curve,) = budget(rows, [method], [scores]).curves[scores.name]
    assert curve.trials == 4
    assert curve.at(1).mean == pytest.approx(0.55) and curve.at(4).mean == pytest.approx(0.65)


def test_nothing_usable_is_nothing_known():
    assert np.isnan(best_of(np.full(3, math.nan), np.full(3, math.nan), np.zeros(3, dtype=bool))).all()


def test_many_trials_stay_exact():
    curve = best_of(np.arange(400.0), np.arange(400.0), np.ones(400, dtype=bool))
    # the mean of the largest of k from 0..n-1 is k(n + 1)/(k + 1) - 1
    assert curve[:3] == pytest.approx([k * 401 / (k + 1) - 1 for k in (1, 2, 3)])


def test_curves_of_a_run(small):
    found = budget(pd.DataFrame(made_trials(("german",), ("utility", "result"), 3)), small.methods, small.scenarios)
    curves = found.curves["german"]
    assert [c.method.id for c in curves] == [m.id for m in small.methods]
    assert {c.trials for c in curves} == {12} and found.shown == [1, 2, 5, 10, 12]
    one = curves[0]
    assert one.at(1).n == 3 and one.at(99) == one.at(12) and one.mean[-1] > one.mean[0]


def test_no_rows_no_curves(small):
    empty = pd.DataFrame(made_trials(("german",), ("utility",), 1)).head(0)
    assert budget(empty, small.methods, small.scenarios) is None
