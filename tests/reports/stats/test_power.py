"""The smallest effect that a test finds: known numbers, and simulated experiments."""

import math

import numpy as np
import pytest
from scipy import stats

from reports.stats.pooled_intervals import pooled_interval, pooled_intervals
from reports.stats.power import detectable, power, smallest_effect
from reports.stats.statistics import Interval, corrected_interval


def test_many_degrees_of_freedom_are_the_normal_case():
    assert detectable(1e6) == pytest.approx(stats.norm.ppf(0.975) + stats.norm.ppf(0.8), abs=1e-4)


@pytest.mark.parametrize(("n", "effect"), [(15, 0.8), (34, 0.5), (199, 0.2)])
def test_published_sample_sizes_of_the_one_sample_t_test(n, effect):
    """The fewest rows that find d = δ/σ with power .80 at two-sided .05 (Cohen's sizes; Faul et al., G*Power 3)."""
    assert detectable(n - 1) / math.sqrt(n) <= effect < detectable(n - 2) / math.sqrt(n - 1)


@pytest.mark.parametrize("freedom", [1, 2, 4.5, 14, 60])
def test_power_is_that_of_the_noncentral_t(freedom):
    critical = stats.t.ppf(0.975, freedom)
    assert power(detectable(freedom), freedom) == pytest.approx(0.8)
    assert power(1.0, freedom) == pytest.approx(
        stats.nct.sf(critical, freedom, 1.0) + stats.nct.cdf(-critical, freedom, 1.0)
    )
    assert power(0.0, freedom) == pytest.approx(0.05)


def test_the_effect_is_told_in_the_units_of_the_interval():
    found = corrected_interval([0.1, 0.2, 0.0, 0.1])
    error = found.half / stats.t.ppf(0.975, 3)
    assert smallest_effect(found) == pytest.approx(detectable(3) * error)
    assert math.isnan(smallest_effect(Interval(0.1, math.nan, math.nan, math.nan, 1)))
    assert math.isnan(smallest_effect(corrected_interval([0.0, 0.0])))
    rows = [np.array([v]) for v in (0.1, 0.2, 0.15, 0.3)]
    assert smallest_effect(pooled_interval(rows, (0, 0, 1, 2))) > smallest_effect(pooled_interval(rows))


def found_share(sizes, runs, seed):
    """Share of simulated runs that find an effect as large as the design can detect; sources, tasks, three splits."""
    rng = np.random.default_rng(seed)
    sources = np.repeat(np.arange(len(sizes)), sizes)
    tasks = len(sources)
    freedom = float(pooled_intervals(np.ones((tasks, 1)), sources.tolist())["freedom"])
    error = math.sqrt(0.5**2 + 1.0**2 / 3) / math.sqrt(tasks)  # independent tasks, as the degrees of freedom take them
    values = detectable(freedom) * error + 0.5 * rng.normal(size=(runs, tasks, 1)) + rng.normal(size=(runs, tasks, 3))
    return float((pooled_intervals(values, sources.tolist())["p"] < 0.05).mean())


def test_four_of_five_simulated_runs_find_it():
    assert found_share((1,) * 15, 4000, 0) == pytest.approx(0.8, abs=0.025)
    assert found_share((2,) * 6, 4000, 1) == pytest.approx(0.8, abs=0.025)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(1,) * 3, (1,) * 6, (1,) * 30, (4, 2, 2, 2, 1, 1, 1, 1, 1), (2,) * 9])
def test_power_in_long_simulations(sizes):
    assert found_share(sizes, 60_000, 2) == pytest.approx(0.8, abs=0.02)
