"""The study's difference is that of the areas, and its interval speaks of the same rows."""

from __future__ import annotations

import pytest
import torch

from benchmarks.studies.scope import Answered, mean_difference
from metrics.auc import auc_value

ROWS = 240


def answered(noise: float, seed: int) -> Answered:
    labels = (torch.arange(ROWS) % 3 == 0).long()
    drawn = torch.rand(ROWS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Answered(((1 - noise) * labels + noise * drawn).clamp(0, 1), labels, 0.0)


def test_equal_answers_do_not_differ() -> None:
    one = answered(0.8, 0)
    assert mean_difference([(one, one)] * 3, seed=0) == (0.0, 0.0, 0.0)


def test_the_estimate_is_the_mean_difference_of_areas() -> None:
    pairs = [(answered(0.9, split), answered(0.7, split)) for split in range(3)]
    estimate, low, high = mean_difference(pairs, seed=0)
    areas = [
        auc_value(b.probability, b.labels).estimate - auc_value(a.probability, a.labels).estimate for a, b in pairs
    ]
    assert estimate == pytest.approx(sum(areas) / 3, abs=1e-6)
    assert 0 < low < estimate < high
