import math

import numpy as np
import pytest

from foundation.seeding import named_generator
from reports.stats.pooled_intervals import pooled_intervals
from reports.stats.statistics import corrected_interval, hierarchical_bootstrap


def test_pooled_intervals_are_those_of_the_bootstrap():
    rng = np.random.default_rng(0)
    tasks = [rng.normal(0.02 * t, 0.01, size=5) for t in range(6)]
    closed = pooled_intervals(np.stack(tasks))
    drawn = hierarchical_bootstrap(tasks, named_generator("x"), draws=40_000)
    assert float(closed["mean"]) == pytest.approx(drawn.mean)
    for end in ("low", "high"):
        assert float(closed[end]) == pytest.approx(getattr(drawn, end), abs=0.03 * drawn.half)
    assert float(closed["p"]) == pytest.approx(drawn.p, rel=0.1) and int(closed["n"]) == 6


def test_one_task_is_the_corrected_interval_and_absent_values_are_left_out():
    values = np.array([[0.1, 0.2, 0.15, np.nan], [np.nan] * 4])
    closed, plain = pooled_intervals(values), corrected_interval([0.1, 0.2, 0.15])
    for key in ("mean", "low", "high", "p"):
        assert float(closed[key]) == pytest.approx(getattr(plain, key))
    nothing = pooled_intervals(np.full((2, 3), np.nan))
    assert math.isnan(float(nothing["mean"])) and math.isnan(float(nothing["p"])) and int(nothing["n"]) == 0
    single = pooled_intervals(np.array([[0.3, np.nan]]))
    assert float(single["mean"]) == 0.3 and math.isnan(float(single["low"])) and math.isnan(float(single["p"]))
    same = pooled_intervals(np.array([[0.1, 0.1], [0.1, 0.1]]))
    plain = hierarchical_bootstrap([[0.1, 0.1], [0.1, 0.1]], named_generator("test"), draws=99)
    for key in ("mean", "low", "high", "p"):  # the spread of rounding
        assert float(same[key]) == pytest.approx(getattr(plain, key))
    nil = pooled_intervals(np.zeros((2, 2)))
    assert (float(nil["low"]), float(nil["high"]), float(nil["p"])) == (0.0, 0.0, 1.0)
    assert float(pooled_intervals(np.zeros((2, 2)))["p"]) == 1
