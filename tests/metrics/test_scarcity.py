"""What rows lack for a metric, in words."""

from __future__ import annotations

import pytest
import torch

from metrics.points import point_values
from metrics.scarcity import scarcity

NAMES = ("A", "B", "C")
LABELS = torch.tensor([1, 0] * 15 + [0] * 20 + [1] * 12)
GROUPS = torch.tensor([0] * 30 + [1] * 20 + [2] * 12)
"""A: 15 of each class; B: 20 negatives; C: 12 positives."""


@pytest.mark.parametrize(
    ("metric", "rows", "said"),
    [
        ("eopp@1", range(50), "B has 0 positives, C has 0 positives"),
        ("eopp@1", range(62), ""),
        ("fair_res@1", range(50), "B has 0 positives, C has 0 positives"),
        ("dp@1", range(50), ""),
        ("dp@1", range(30), "B has 0 rows, C has 0 rows"),
        ("eopp@1", range(30, 50), "there are 0 positives"),
        ("auc@1", range(50, 62), "there are 0 negatives"),
        ("auc@1", range(2), ""),
        ("fair_proc@1", range(35), ""),
        ("fair_proc@1", range(34), "B has 4 rows, C has 0 rows"),
        ("fair_proc@1", range(31), "B has 1 row, C has 0 rows"),
    ],
)
def test_names_the_groups_that_have_too_few_rows(metric: str, rows: range, said: str) -> None:
    picked = list(rows)
    assert scarcity(metric, LABELS[picked], GROUPS[picked], NAMES) == said


@pytest.mark.parametrize("stop", [2, 5, 20, 30, 31, 36, 40, 45, 50, 51, 55, 60, 62])
def test_says_something_where_a_gap_is_nan_and_nowhere_else(stop: int) -> None:
    labels, groups = LABELS[:stop], GROUPS[:stop]
    values = point_values(torch.full((1, stop), 0.7), labels, groups, 3)
    for metric in ("dp@1", "eopp@1", "eodds@1", "fair_res@1"):
        assert bool(scarcity(metric, labels, groups, NAMES)) == bool(values[metric].isnan())
