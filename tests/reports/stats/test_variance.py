import math

import numpy as np
import pandas as pd
import pytest

from reports.stats.variance import components, spreads


def test_hand_worked():
    # means 2 and 6, MS between = 2·((2−4)² + (6−4)²) = 16, MS within = (2 + 2)/2 = 2: (16 − 2)/2 = 7
    assert components([np.array([1.0, 3.0]), np.array([5.0, 7.0])]) == pytest.approx((7.0, 2.0))


def test_unequal_numbers_of_seeds_by_hand():
    # sizes 1, 3; means 0 and 4, mean 3: MS between = 9 + 3 = 12, MS within = 2/2 = 1, n0 = 4 − 10/4 = 1.5
    assert components([np.array([0.0]), np.array([3.0, 4.0, 5.0])]) == pytest.approx((11 / 1.5, 1.0))


def test_one_seed_or_one_split_has_no_decomposition():
    assert all(map(math.isnan, components([np.array([1.0]), np.array([2.0])])))
    assert all(map(math.isnan, components([np.array([1.0, 2.0])])))


def test_estimates_are_unbiased():
    rng = np.random.default_rng(0)
    found = [components(list(rng.normal(0, 2, (5, 1)) + rng.normal(0, 1, (5, 3)))) for _ in range(3000)]
    assert np.mean(found, axis=0) == pytest.approx([4.0, 1.0], rel=0.06)


def rows(values, method="mixture", task="german"):
    for split, seeds in enumerate(values):
        for seed, estimate in enumerate(seeds):
            yield {
                "method": method, "metric": "utility@1", "task": task, "protocol": "robust", "use_sensitive": "keep",
                "split": split, "seed": seed, "estimate": estimate,
            }  # fmt: skip


def test_tasks_are_averaged_as_variances_and_negative_ones_count_as_zero():
    first = [*rows([[1.0, 3.0], [5.0, 7.0]])]  # 7 and 2
    second = [*rows([[0.0, 2.0], [0.0, 2.0]], task="credit")]  # between: (0 − 2)/2 = −1; within 2
    found = spreads(pd.DataFrame(first + second), ["utility@1"])["mixture", "utility@1"]
    assert (found.split, found.seed) == pytest.approx((math.sqrt(3.5), math.sqrt(2)))
    assert (found.tasks, found.truncated) == (2, 1)


def test_one_seed_says_nothing():
    assert spreads(pd.DataFrame([*rows([[1.0], [2.0]])]), ["utility@1"]) == {}
