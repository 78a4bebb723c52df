"""What there is to say of new rows: metrics, limit, groups, scores and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from benchmarks.models.monitoring.columns import ColumnNow, columns_now
from benchmarks.models.monitoring.comparison import Compared, LimitNow, compare, limit_now
from benchmarks.models.monitoring.rows import NewRows
from benchmarks.models.promise import Promise
from benchmarks.models.score_bins import Drift, drift_of_scores
from foundation.numbers import finite
from metrics.counts.tables import count_table
from metrics.evidence import Evidence
from metrics.score import score
from metrics.value import Value


@dataclass(frozen=True)
class MonitorReport:
    """A saved model on new rows.

    Attributes
    ----------
    rows, promised_rows : int
        Rows that were scored, and those that the promise rests on.
    metrics : list of Compared
    limit : LimitNow or None
    groups : mapping of group -> {"then": {"negatives", "positives", "right"}, "now": ...}
        Rows by label, and those that were decided rightly.
    drift : Drift or None
        Of the probabilities.
    columns : list of ColumnNow
    left : mapping of reason -> int
        Rows that were not scored.
    values : mapping of metric id -> Value
        All metrics on the new rows, judged or not.
    """

    rows: int
    promised_rows: int
    metrics: list[Compared]
    limit: LimitNow | None
    groups: Mapping[str, Mapping[str, Mapping[str, int]]]
    drift: Drift | None
    columns: list[ColumnNow]
    left: Mapping[str, int]
    values: Mapping[str, Value]

    @property
    def worse(self) -> list[Compared]:
        """Metrics that are outside of the promise on the bad side."""
        return [metric for metric in self.metrics if metric.worse]

    @property
    def alarm(self) -> bool:
        """Whether something is worse than promised, or the limit is broken, for sure."""
        return bool(self.worse) or (self.limit is not None and self.limit.broken)

    def as_data(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        held = asdict(self)
        if self.limit is not None:
            held["limit"]["broken"] = self.limit.broken
        found: dict[str, Any] = finite({**held, "alarm": self.alarm})
        return found


def monitor(
    promise: Promise,
    new: NewRows,
    metrics: Sequence[str] = (),
    *,
    tolerance: float | None = None,
    seed: int = 0,
) -> MonitorReport:
    """Compare new rows with a promise; parameters as for :func:`benchmarks.models.monitoring.comparison.compare`."""
    names = tuple(promise.groups)
    values = score(Evidence(new.probability), new.labels, new.groups, names, seed=seed).values
    table = count_table(new.probability[None], new.labels, new.groups, len(names))[0]
    return MonitorReport(
        rows=len(new.labels), promised_rows=promise.rows,
        metrics=compare(promise, values, table, metrics, tolerance=tolerance, seed=seed),
        limit=limit_now(promise, values, table, seed), groups=_groups(promise, table),
        drift=drift_of_scores(promise.scores, new.probability, seed),
        columns=columns_now(promise.cells, promise.rows, new.cells, new.read),
        left=new.left, values=values,
    )  # fmt: skip


def _groups(promise: Promise, now: Tensor) -> dict[str, dict[str, dict[str, int]]]:
    """Of both samples; ``now`` is [g, 2, 2] rows per (group, label, decision)."""
    pairs = zip(promise.groups, promise.counts(), now, strict=True)
    return {name: {"then": _sizes(before), "now": _sizes(after)} for name, before, after in pairs}


def _sizes(table: Tensor) -> dict[str, int]:
    negatives, positives = table.sum(dim=1).tolist()
    return {"negatives": int(negatives), "positives": int(positives), "right": int(table.diagonal().sum())}
