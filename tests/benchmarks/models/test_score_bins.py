"""Spread of scores: bins that rounding does not move, and a drift that knows what chance does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.models.score_bins import ScoreBins, bins_of_scores, drift_of_scores


def uniform(n: int, seed: int) -> torch.Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_bins_are_tenths_and_hold_all_rows() -> None:
    bins = bins_of_scores(torch.arange(100).double() / 100)
    assert bins.counts == (10,) * 10 and len(bins.edges) == 9


def test_equal_scores_share_a_bin() -> None:
    assert bins_of_scores(torch.full((50,), 0.3)) == ScoreBins((), (50,))
    bins = bins_of_scores(torch.tensor([0.1] * 30 + [0.9] * 20))
    assert bins.counts == (30, 20) and bins.edges == pytest.approx((0.5,))


def test_rounding_moves_no_row_across_an_edge() -> None:
    scores = uniform(1000, 0).float()
    bins = bins_of_scores(scores)
    drift = drift_of_scores(bins, scores.double() * (1 - 1e-7))
    assert drift is not None and drift.psi == 0.0 and drift.p == 1.0


def test_drift_is_seen_and_chance_is_not() -> None:
    bins = bins_of_scores(uniform(2000, 1))
    found = [drift_of_scores(bins, uniform(500, seed)) for seed in range(2, 42)]
    assert np.mean([drift is not None and drift.p < 0.05 for drift in found]) <= 0.15
    moved = drift_of_scores(bins, uniform(500, 2) ** 2)
    assert moved is not None and moved.psi > moved.null_p95 and moved.p < 0.01


def test_psi_by_hand() -> None:
    drift = drift_of_scores(ScoreBins((0.5,), (50, 50)), torch.tensor([0.2] * 80 + [0.8] * 20))
    first, second = np.array([50.5, 50.5]) / 101, np.array([80.5, 20.5]) / 101
    assert drift is not None
    assert drift.psi == pytest.approx(float(((first - second) * np.log(first / second)).sum()))


def test_nothing_known_gives_no_drift() -> None:
    assert drift_of_scores(ScoreBins(), uniform(5, 0)) is None
