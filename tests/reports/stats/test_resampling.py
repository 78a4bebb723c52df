"""Draws of scenarios: their spread is that of the closed forms."""

import math

import numpy as np
import pytest

from foundation.seeding import named_generator
from reports.stats.pooled_intervals import pooled_interval
from reports.stats.resampling import Resampling, resampling
from reports.stats.statistics import corrected_interval


def spread(sizes, values, **settings):
    drawn = resampling(sizes, named_generator("spread", *map(str, sizes)), **settings)
    return float(drawn.deviations(np.array(values, dtype=float)[:, None]).std())


@pytest.mark.parametrize("tasks", [2, 3, 8])
def test_tasks_of_one_split_have_the_standard_error_of_their_mean(tasks):
    values = np.random.default_rng(tasks).normal(0, 1, tasks)
    assert spread((1,) * tasks, values) == pytest.approx(values.std(ddof=1) / math.sqrt(tasks), rel=0.03)


@pytest.mark.parametrize("splits", [2, 5])
def test_splits_of_one_task_have_the_corrected_standard_error(splits):
    values = np.random.default_rng(splits).normal(0, 1, splits)
    drawn = resampling((splits,), named_generator("one"))
    error = math.sqrt((1 / splits + 0.5) * values.var(ddof=1))
    assert spread((splits,), values) == pytest.approx(error, rel=0.03)
    assert drawn.quantile * error == pytest.approx(corrected_interval(values).half)


def test_facts_of_sizes():
    weights = np.zeros((1, 1))
    made = [Resampling(sizes, tuple(range(len(sizes))), weights) for sizes in ((1,), (4,), (1, 1), (2, 3, 4))]
    assert [drawn.freedom for drawn in made] == pytest.approx([0, 3, 1, 2])
    assert math.isnan(made[0].quantile) and made[1].quantile == pytest.approx(3.182446)
    # every split's own noise of variance 2: (1/2 + 1/2 and 1/3 + 1/2, their mean) over two tasks
    assert Resampling((2, 3), (0, 1), weights).variance_of_noise(2.0) == pytest.approx(2 * (1 + 5 / 6) / 2 / 2)


def test_tasks_of_one_source_count_as_one():
    """Three copies of one source and two others: the draws have the error of the closed form."""
    values = np.array([0.3, 0.3, 0.3, -0.2, 0.1])
    sources = (0, 0, 0, 1, 2)
    theirs = pooled_interval([values[[t]] for t in range(5)], sources)
    drawn = resampling((1,) * 5, named_generator("sources"), sources)
    half = drawn.quantile * drawn.deviations(values[:, None]).std()
    assert drawn.freedom == pytest.approx(theirs.freedom) and half == pytest.approx(theirs.half, rel=0.03)
    assert drawn.covariance(values[:, None])[0, 0] ** 0.5 * drawn.quantile == pytest.approx(theirs.half)


def test_means_weigh_tasks_equally():
    drawn = resampling((3, 1), named_generator("means"), draws=10)
    values = np.array([[0.0, 1.0], [0.0, 2.0], [3.0, 3.0], [5.0, 4.0]])
    assert drawn.task_means(values).tolist() == [[1.0, 2.0], [5.0, 4.0]]
    assert drawn.means(values).tolist() == [3.0, 3.0]
