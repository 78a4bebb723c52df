"""What a saved model promises: how it did on the test rows of its task, looked at once, after it was chosen.

A promise holds all that later rows are compared with: the count table of the saved decisions, the scores' bins, the
share of empty cells per column. It holds no rows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.models.empty_cells import empty_and_unknown
from benchmarks.models.error import ModelError
from benchmarks.models.score_bins import ScoreBins, bins_of_scores
from foundation.files import write_json
from foundation.numbers import finite
from metrics.value import Value

if TYPE_CHECKING:
    from torch import Tensor

    from metrics.evidence import Evidence
    from metrics.score import Scores
    from tasks.task import Task

FILE = "promise.json"
FORMAT = "fairmoe-promise/1"
NEEDED = ("rows", "groups", "order", "table", "metrics")
PLAIN = ("rows", "degenerate", "demand", "probability_kept", "facts", "note")


class PromiseError(ModelError):
    """A promise that is absent or cannot be read."""


@dataclass(frozen=True)
class Promise:
    """How a saved model did on the rows that nothing was chosen by.

    Attributes
    ----------
    rows : int
        Test rows of the task.
    groups : mapping of group -> {"negatives", "positives"}
        Test rows of each group by label, in the order of the task's groups.
    table : mapping of group -> [[a, b], [c, d]]
        Rows of each group by label (first index) and decision (second).
    metrics : mapping of metric id -> Value
        Of the saved decisions, with 95 % intervals and nulls.
    rates : tuple of dict
        Rates of each group with Wilson's intervals: group, statistic, estimate, low, high.
    degenerate : bool
        Whether (nearly) all rows are decided alike.
    demand : mapping or None
        What was demanded: ``metric``, ``max_gap`` and whatever else whoever chose says of it; None: nothing.
    probability_kept : float or None
        Probability, said before the test rows were looked at, that new rows keep the limit.
    scores : ScoreBins
        How the probabilities of the test rows are spread.
    cells : mapping of column -> (int, int)
        Test rows without a value, and with a category that no training row had.
    facts : mapping
        Task, its hash, split, protocol, seed.
    note : str
        A sentence of whoever chose.
    """

    rows: int
    groups: Mapping[str, Mapping[str, int]]
    table: Mapping[str, tuple[tuple[int, int], tuple[int, int]]]
    metrics: Mapping[str, Value]
    rates: tuple[Mapping[str, Any], ...] = ()
    degenerate: bool = False
    demand: Mapping[str, Any] | None = None
    probability_kept: float | None = None
    scores: ScoreBins = field(default_factory=ScoreBins)
    cells: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def limit(self) -> tuple[str, float] | None:
        """Metric that was bounded and its limit; None where nothing was demanded."""
        if not self.demand or self.demand.get("metric") is None or self.demand.get("max_gap") is None:
            return None
        return str(self.demand["metric"]), float(self.demand["max_gap"])

    @property
    def kept(self) -> bool | None:
        """Whether the test rows keep the limit; None without a limit, or where the metric has no value."""
        if self.limit is None or self.limit[0] not in self.metrics:
            return None
        metric, limit = self.limit
        return keeps(metric, self.metrics[metric].estimate, limit)

    def counts(self) -> Tensor:
        """[g, 2, 2] float64 rows per (group, label, decision)."""
        import torch

        return torch.tensor([list(map(list, self.table[name])) for name in self.groups], dtype=torch.float64)

    def write(self, folder: Path) -> None:
        """Write ``promise.json``; nan becomes null."""
        held = {**asdict(self), "order": list(self.groups)}  # JSON files sort their keys
        write_json(folder / FILE, {"format": FORMAT, **finite(held)})

    @classmethod
    def read(cls, folder: Path) -> Promise:
        """Read what :meth:`write` wrote.

        Raises
        ------
        PromiseError
            If there is none, or it cannot be read; the text says how to make one.
        """
        path = folder / FILE
        if not path.is_file():
            raise PromiseError(
                f"{folder} has no {FILE}: nobody has looked how this model does on rows that nothing was chosen by, so "
                "there is nothing to compare with. 'fairmoe choose' writes it with the model; in Python it is "
                "benchmarks.models.promise.promise_of(task, probability).write(folder)."
            )
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            return _promise(held)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, PromiseError):
                raise
            raise PromiseError(
                f"{path} is no promise that this version can read ({type(error).__name__}: {error}). Choose and save "
                "the model again with 'fairmoe choose'."
            ) from error


def keeps(metric: str, value: float, limit: float) -> bool | None:
    """Whether a value keeps a limit: at most, or at least where higher is better; None for nan."""
    from metrics.registry import spec

    if math.isnan(value):
        return None
    return value <= limit if spec(metric).direction == "lower" else value >= limit


def promise_of(
    task: Task,
    probability: Tensor,
    *,
    evidence: Evidence | None = None,
    demand: Mapping[str, Any] | None = None,
    probability_kept: float | None = None,
    note: str = "",
    seed: int = 0,
) -> Promise:
    """Score the saved decisions on the test rows of a task: the one look at them.

    Parameters
    ----------
    task : Task
        With its labels.
    probability : [n_test] float
        Probability of class 1 that the saved model gives the test rows, in the order of ``task.split.test``; its cut
        at 0.5 is the decision.
    evidence : Evidence, optional
        The same with reasons, for procedural metrics; its probabilities must be ``probability``.
    demand : mapping, optional
        ``{"metric": "fair_res@1", "max_gap": 0.05, ...}``: further keys are kept.
    probability_kept : float in [0, 1], optional
    note : str
    seed : int
        Of the resampling.

    Raises
    ------
    ValueError
        If the probabilities are not one per test row, not in [0, 1], not those of ``evidence``, or the demanded metric
        is unknown.
    """
    import torch

    from metrics.counts.tables import count_table
    from metrics.evidence import Evidence
    from metrics.registry import spec
    from metrics.score import score

    rows = task.split.test
    known = Evidence(probability) if evidence is None else evidence
    if known.probability.shape != probability.shape or not bool(torch.equal(known.probability, probability)):
        raise ValueError("the evidence has other probabilities than those that are promised; pass the same to both")
    if demand is not None:
        spec(str(demand["metric"]))
    scores = score(known, task.labels[rows], task.groups[rows], task.group_names, seed=seed)
    counts = count_table(probability[None], task.labels[rows], task.groups[rows], len(task.group_names))[0]
    return Promise(
        rows=len(rows), **_by_group(task.group_names, counts), metrics=scores.values, rates=_rates(scores),
        degenerate=scores.degenerate, demand=demand, probability_kept=probability_kept,
        scores=bins_of_scores(probability), cells=_cells(task, rows), facts=_facts(task), note=note,
    )  # fmt: skip


def _by_group(names: tuple[str, ...], counts: Tensor) -> dict[str, Any]:
    """Sizes and table of each group from [g, 2, 2] counts."""
    cells = dict(zip(names, counts.tolist(), strict=True))
    groups = {name: {"negatives": int(sum(table[0])), "positives": int(sum(table[1]))} for name, table in cells.items()}
    return {"groups": groups, "table": {name: _pairs(table) for name, table in cells.items()}}


def _rates(scores: Scores) -> tuple[Mapping[str, Any], ...]:
    return tuple(asdict(row) for row in scores.groups)


def _cells(task: Task, rows: Tensor) -> dict[str, tuple[int, int]]:
    frame = task.frame.iloc[rows.numpy()]
    return {column.name: empty_and_unknown(frame[column.name], column) for column in task.encoder.encoders}


def _facts(task: Task) -> dict[str, Any]:
    split = task.split
    return {
        "task": task.name, "task_hash": task.hash, "protocol": split.protocol, "split": split.index,
        "seed": split.seed, "split_hash": split.hash, "part": "test",
    }  # fmt: skip


def _promise(held: dict[str, Any]) -> Promise:
    version = held.get("format")
    if version != FORMAT:
        raise PromiseError(f"The promise has the format {version!r}, this version reads {FORMAT!r}; update fairmoe.")
    absent = [name for name in NEEDED if name not in held]
    if absent:
        raise KeyError(f"it lacks {', '.join(absent)}")
    from metrics.registry import METRICS

    values = {id: _value(value) for id, value in held["metrics"].items()}
    rates = tuple(_numbers(row) for row in held.get("rates", ()))
    table = {name: _pairs(cells) for name, cells in held["table"].items()}
    scores = ScoreBins(**{key: tuple(value) for key, value in held.get("scores", {}).items()})
    groups = {name: held["groups"][name] for name in held["order"]}
    metrics = {id: values[id] for id in (*(id for id in METRICS if id in values), *sorted(set(values) - set(METRICS)))}
    cells = {name: (int(empty), int(unknown)) for name, (empty, unknown) in held.get("cells", {}).items()}
    rest = {key: held[key] for key in PLAIN if key in held}
    return Promise(groups=groups, table=table, metrics=metrics, rates=rates, scores=scores, cells=cells, **rest)


def _value(held: dict[str, Any]) -> Value:
    numbers = ("estimate", "low", "high", "null_p95", "null_mean", "null_sd")
    found = {name: math.nan if held.get(name) is None else float(held[name]) for name in numbers}
    return Value(**found, status=held["status"], reason=held.get("reason", ""))


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    """A row in which null is nan again."""
    return {key: math.nan if value is None else value for key, value in row.items()}


def _pairs(cells: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    (a, b), (c, d) = cells
    return (int(a), int(b)), (int(c), int(d))
