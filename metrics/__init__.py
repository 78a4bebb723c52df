"""Fixed metrics: what a prediction is worth, how fair it is, and how sure one can be of either."""

from metrics.evidence import Evidence
from metrics.points import COUNT_METRICS, POINT_METRICS, count_values, point_values
from metrics.registry import CFA_METRICS, METRICS, MIN_GROUP_ROWS, PROCEDURAL_METRICS, MetricSpec, better, spec
from metrics.resample import Resampled
from metrics.score import GroupRow, Scores, score, score_many
from metrics.value import Status, Value

__all__ = [
    "CFA_METRICS",
    "COUNT_METRICS",
    "METRICS",
    "MIN_GROUP_ROWS",
    "POINT_METRICS",
    "PROCEDURAL_METRICS",
    "Evidence",
    "GroupRow",
    "MetricSpec",
    "Resampled",
    "Scores",
    "Status",
    "Value",
    "better",
    "count_values",
    "point_values",
    "score",
    "score_many",
    "spec",
]
