"""Which checkpoint a lane keeps."""

from __future__ import annotations

import torch

from experts.networks.checkpoints import Checkpoints
from experts.scores import RARER_SHARE


def values(utility: float, gap: float, rarer: float) -> dict[str, torch.Tensor]:
    pairs = {"utility@1": utility, "fair_res@1": gap, RARER_SHARE: rarer}
    return {name: torch.tensor([value], dtype=torch.float64) for name, value in pairs.items()}


def offered(*checkpoints: tuple[float, float, float], score: str = "fair_res@1") -> Checkpoints:
    start = torch.zeros(1, 3)
    kept = Checkpoints(start, score, floor=0.7)
    for step, checkpoint in enumerate(checkpoints, 1):
        kept.offer(torch.tensor([0]), start, values(*checkpoint), step)
    return kept


def test_smallest_gap_above_the_floor_wins() -> None:
    kept = offered((0.75, 0.10, 0.3), (0.72, 0.05, 0.3), (0.60, 0.01, 0.3))
    assert int(kept.step) == 2 and bool(kept.feasible)


def test_a_constant_above_the_floor_is_not_feasible() -> None:
    kept = offered((0.75, 0.10, 0.3), (0.72, 0.00, 0.0))
    assert int(kept.step) == 1 and bool(kept.feasible)


def test_only_constants_leave_the_lane_infeasible() -> None:
    assert not bool(offered((0.72, 0.0, 0.0), (0.71, 0.0, 0.004)).feasible)


def test_utility_role_looks_at_utility_alone() -> None:
    assert int(offered((0.72, 0.3, 0.3), (0.75, 0.3, 0.0), score="utility@1").step) == 2
