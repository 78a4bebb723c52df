"""What rows lack for a metric, in words."""

from __future__ import annotations

import pytest
import torch

from metrics.points import point_values
from metrics.scarcity import scarcity

NAMES = ("A", "B", "C")
LABELS = torch.tensor([1, 0, 1, 0, 1] + [0] * 6 + [1])
GROUPS = torch.tensor([0] * 5 + [1] * 6 + [2])


@pytest.mark.parametrize(
    ("metric", "rows", "least", "said"),
    [
        ("eopp@1", range(11), 1, "B has 0 positives, C has 0 positives"),
        ("eopp@1", range(12), 1, ""),
        ("fair_res@1", range(12), 2, "B has 0 positives, C has 1 positive"),
        ("dp@1", range(12), 1, ""),
        ("dp@1", range(5), 1, "B has 0 rows, C has 0 rows"),
        ("eopp@1", range(5, 11), 1, "there are 0 positives"),
        ("auc@1", [0, 2], 1, "there are 0 negatives"),
        ("fair_proc@1", range(11), 1, ""),
        ("fair_proc@1", range(1, 12), 1, "A has 4 rows, C has 1 row"),
    ],
)
def test_names_the_groups_that_have_too_few_rows(metric: str, rows: range, least: int, said: str) -> None:
    picked = list(rows)
    assert scarcity(metric, LABELS[picked], GROUPS[picked], NAMES, least) == said


@pytest.mark.parametrize("least", [1, 2])
def test_says_something_where_a_gap_is_nan_and_nowhere_else(least: int) -> None:
    for stop in range(2, 13):
        labels, groups = LABELS[:stop], GROUPS[:stop]
        values = point_values(torch.full((1, stop), 0.7), labels, groups, 3, min_rows=least)
        if len(set(labels.tolist())) == 2:
            for metric in ("dp@1", "eopp@1", "fair_res@1"):
                assert bool(scarcity(metric, labels, groups, NAMES, least)) == bool(values[metric].isnan())
