"""The study of the check of difficulty, on a tiny base: the same number of items in every arm, and what passed."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.studies.difficulty import ARMS, Arm, Sizes, _row, compare_checks
from llm_experts.discovery.measuring.domain import Domain
from llm_experts.discovery.teaching.training import TrainingSettings
from tests.llm_experts.conftest import make_tiny_base

SIZES = Sizes(drafts=30, items=6, steps=2, warm_items=4, warm_steps=1, examined=8)


def test_arms_learn_as_many_items(tmp_path: Path) -> None:
    base = make_tiny_base(layers=1, scale=0.05)
    how = TrainingSettings(rank=2, batch_size=4)
    arms = compare_checks(base, Domain("classification", "classification"), [0], SIZES, how, tmp_path)
    assert tuple(arm.name for arm in arms) == ARMS
    assert arms[0].passed == (1.0,)
    assert len({arm.learnt for arm in arms}) == 1
    assert arms[0].learnt[0] == min(6, *(round(30 * arm.passed[0]) for arm in arms))
    assert all(arm.right.shape == (1, 8) for arm in arms)


def test_a_row_compares_item_by_item() -> None:
    every = Arm("all", np.array([[1.0, 0, 0, 0], [1, 0, 0, 0]]), (1.0, 1.0), (0.5, 0.5), (9, 9))
    arm = Arm("warmed", np.array([[1.0, 1, 0, 0], [1, 1, 0, 0]]), (0.2, 0.4), (1.0, 0.5), (8, 9))
    row = _row("lookup", arm, every)
    assert row.startswith("| lookup | warmed | 30% | 8–9 | 75% | 0.500 [")
    assert "| 0.250 [0.000, 0.750], p = 1" in row
    assert _row("lookup", every, every).endswith("|  |")
    assert arm.accuracy.mean == pytest.approx(0.5)
