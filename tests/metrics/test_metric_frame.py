"""The fixed metrics as tables for anyone's predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import demographic_parity_difference, equal_opportunity_difference

from foundation.seeding import numpy_generator
from metrics.metric_frame import MetricFrame


def rows(n: int = 300) -> tuple[Any, Any, Any]:
    random = numpy_generator(0, "metric frame")
    return random.choice(["no", "yes"], n), random.random(n), random.choice(["a", "b", "c"], n)


def test_gaps_are_those_of_fairlearn() -> None:
    truth, probability, groups = rows()
    decided = np.where(probability > 0.5, "yes", "no")
    frame = MetricFrame(truth, probability, sensitive_features=groups)
    for metric, theirs in (("dp@1", demographic_parity_difference), ("eopp@1", equal_opportunity_difference)):
        expected = theirs(truth == "yes", decided == "yes", sensitive_features=groups)
        value = frame.overall.loc[metric]
        assert value["estimate"] == pytest.approx(expected) and value["low"] <= expected <= value["high"]
        same = MetricFrame(truth, decided, sensitive_features=groups).overall
        assert same.loc[metric, "estimate"] == value["estimate"]


def test_groups_and_intersections() -> None:
    truth, probability, groups = rows()
    frame = MetricFrame(truth, probability, sensitive_features=groups)
    assert frame.by_group.loc[("a", "count"), "estimate"] == (groups == "a").sum() and not frame.degenerate
    two = pd.DataFrame({"group": groups, "half": np.arange(300) % 2})
    assert "a & 1" in MetricFrame(truth, probability, sensitive_features=two).by_group.index.get_level_values(0)


def test_class_one_can_be_named() -> None:
    truth, probability, groups = rows()
    frame = MetricFrame(truth, 1 - probability, sensitive_features=groups, positive="no")
    assert frame.by_group.loc[("a", "positives"), "estimate"] == ((truth == "no") & (groups == "a")).sum()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_true": ["a", "b", "c"] * 100}, "y_true holds 3 classes"),
        ({"y_true": ["yes"] * 300}, "y_true holds 1 classes"),
        ({"y_pred": [0.5] * 299}, "have 300, 299 and 300 rows"),
        ({"y_pred": [None] * 300}, "y_pred is missing in 300 rows"),
        ({"y_pred": ["maybe"] * 300}, "holds 'maybe', which is neither"),
        ({"y_pred": [[0.5, 0.5]] * 300}, "pass one value per row"),
        ({"y_pred": [2.0] * 300}, "outside"),
        ({"sensitive_features": [None, "a"] * 150}, "sensitive_features is missing in 150 rows"),
        ({"positive": "maybe"}, "positive = 'maybe' is no class"),
    ],
)
def test_wrong_arguments_are_told(change: dict[str, Any], message: str) -> None:
    truth, probability, groups = rows()
    arguments = {"y_true": truth, "y_pred": probability, "sensitive_features": groups, **change}
    with pytest.raises(ValueError, match=message):
        MetricFrame(arguments.pop("y_true"), arguments.pop("y_pred"), **arguments)
