"""LinearPost: a threshold per group where the group is told, a cut on a model of it where it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks.methods.baselines import linear_post
from benchmarks.methods.user_code import EstimatorError
from metrics.points import point_values
from tasks.load import load_task

SCM = load_task("scm", rows=1600)
VIEW = SCM.view()
PARAMS = {"learning_rate": 0.1, "num_leaves": 8, "min_data_in_leaf": 20, "gap": "dp@1", "tol": 0.05}


def gap_of(mode: str, tol: float) -> float:
    rows = SCM.split.test
    expert = linear_post.fit(VIEW, {**PARAMS, "mode": mode, "tol": tol}, 0)
    probability = torch.sigmoid(expert.logits(VIEW, rows))[None]
    return float(point_values(probability, SCM.labels[rows], SCM.groups[rows], 2, metrics=["dp@1"])["dp@1"][0])


@pytest.mark.parametrize("mode", ["aware", "blind"])
def test_a_small_tolerance_closes_the_gap(mode: str) -> None:
    assert gap_of(mode, 0.02) < gap_of(mode, 1.0) - 0.08


@pytest.mark.parametrize(("mode", "told"), [("aware", True), ("blind", False)])
def test_only_the_aware_variant_looks_at_the_group(mode: str, told: bool) -> None:
    expert = linear_post.fit(VIEW, {**PARAMS, "mode": mode}, 0)
    moved = replace(VIEW, groups=1 - VIEW.groups)
    rows = SCM.split.test
    assert torch.equal(expert.logits(VIEW, rows), expert.logits(moved, rows)) is not told


def test_same_seed_same_margins_and_what_is_written_is_whole(tmp_path: Any) -> None:
    one, other = (linear_post.fit(VIEW, {**PARAMS, "mode": "blind"}, 1) for _ in range(2))
    assert torch.equal(one.logits(VIEW, SCM.split.test), other.logits(VIEW, SCM.split.test))
    one.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"expert.json", "trees.txt", "groups.txt", "rule.json"}


def test_a_gap_that_nothing_keeps_is_told() -> None:
    with pytest.raises(EstimatorError, match="Allow a larger tol"):
        linear_post.fit(VIEW, {**PARAMS, "mode": "aware", "tol": -0.5}, 0)
