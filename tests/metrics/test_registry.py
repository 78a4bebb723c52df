"""The registry: every id declared once, with what a report needs."""

from __future__ import annotations

import pytest

from metrics.points import POINT_METRICS
from metrics.registry import METRICS, MetricError, better, metric_id, spec
from metrics.spec import INTERVALS


def test_ids_are_versioned_and_fields_are_filled() -> None:
    for id, metric in METRICS.items():
        assert metric.id == id
        assert id.split("@")[1].isdigit()
        assert metric.name and metric.symbol and metric.estimable and metric.source
        assert metric.interval in INTERVALS
        assert metric.range[0] <= metric.target <= metric.range[1]
        assert metric.target == (metric.range[1] if metric.direction == "higher" else metric.range[0])
        assert metric.bias in ("none", "up" if metric.direction == "lower" else "down")
        assert not (metric.null and metric.direction == "higher")  # the null is given as its 95th percentile


def test_every_computed_id_is_declared() -> None:
    assert set(POINT_METRICS) <= set(METRICS)
    assert {METRICS[id].kind for id in ("ref@1", "vef@1", "att_jsd@1", "cfr@1", "gpf_fae@1")} == {"procedural"}


def test_unknown_ids_get_close_matches() -> None:
    with pytest.raises(KeyError, match="Did you mean 'eopp@1'"):
        spec("eop@1")
    with pytest.raises(KeyError, match="eodds@1"):
        spec("eodd@2")
    with pytest.raises(KeyError, match=r"Metrics are acc@1"):
        spec("zzzzzzzz")
    assert spec("dp@1").direction == "lower"


@pytest.mark.parametrize(
    ("text", "id"),
    [("fair_res", "fair_res@1"), ("DP", "dp@1"), (" worst-acc ", "worst_acc@1"), ("Eodds@1", "eodds@1")],
)
def test_metrics_by_any_spelling(text: str, id: str) -> None:
    assert metric_id(text) == id


def test_what_nobody_can_mean_names_close_ones_among_those_that_may_be_meant() -> None:
    with pytest.raises(MetricError, match=r"^There is no metric 'fairres'\. Did you mean 'fair_res@1'"):
        metric_id("fairres")
    with pytest.raises(MetricError, match=r"no metric 'dp'\. Metrics are ref@1, vef@1\.$"):
        metric_id("dp", ("ref@1", "vef@1"))
    with pytest.raises(MetricError, match="Metrics are acc@1"):
        metric_id("")


def test_better_knows_the_direction() -> None:
    assert better("acc@1", 0.9, 0.8)
    assert better("dp@1", 0.1, 0.2)
    assert not better("dp@1", float("nan"), 0.2)
    assert not better("dp@1", 0.1, float("nan"))
