"""The numbers of one task, as the statistics over tasks take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from reports.method import Method
from reports.names import DISPARITY
from reports.stats.estimate import Estimate, estimates, values_by_split
from reports.stats.sources import source_of
from reports.stats.statistics import Floats


@dataclass(frozen=True)
class TaskScores:
    """What the methods reach on one task (with one protocol and one use of the sensitive columns).

    Attributes
    ----------
    name : str
        What the task is called on the page.
    task, protocol, use_sensitive : str
        How its rows are found in the tables.
    source : str
        What it shares rows with: see :mod:`reports.stats.sources`.
    splits : tuple of int
    methods : tuple of Method
        Those that have rows, in the order of the suite.
    test, validation : dict
        (method, metric) → Estimate.
    values, validation_values : dict
        (method, metric) → [J] value per split, averaged over seeds; nan where there is none.
    cost : dict
        Method → what it costs: seconds, fitted numbers; of text experts also file size and speed.
    """

    name: str
    task: str
    protocol: str
    use_sensitive: str
    source: str
    splits: tuple[int, ...]
    methods: tuple[Method, ...]
    test: dict[tuple[str, str], Estimate]
    validation: dict[tuple[str, str], Estimate]
    values: dict[tuple[str, str], Floats]
    validation_values: dict[tuple[str, str], Floats]
    cost: dict[str, dict[str, float]]

    @property
    def where(self) -> dict[str, str]:
        """Columns that its rows have in every table."""
        return {"task": self.task, "protocol": self.protocol, "use_sensitive": self.use_sensitive}

    def degenerate(self, method: str) -> bool:
        """Whether the method's prediction is (nearly) constant on half of the splits or more."""
        estimate = self.test.get((method, DISPARITY))
        return estimate is not None and estimate.mostly_degenerate


def task_scores(
    name: str,
    where: Mapping[str, str],
    results: pd.DataFrame,
    methods: tuple[Method, ...],
    cost: dict[str, dict[str, float]],
    sources: Mapping[str, str],
) -> TaskScores:
    """Numbers of one task from its rows of the result table.

    Parameters
    ----------
    name : str
        What the task is called on the page.
    where : mapping
        Columns that all its rows share: see :attr:`TaskScores.where`.
    results : DataFrame
    methods : tuple of Method
        Those that have rows.
    cost : dict
    sources : mapping
        Task → source, as the run says.
    """
    splits = tuple(sorted(results["split"].unique().tolist()))
    parts = {part: results[results["part"] == part] for part in ("test", "validation")}
    values = {part: values_by_split(rows, splits) for part, rows in parts.items()}
    found = {part: estimates(rows, values[part], len(splits)) for part, rows in parts.items()}
    return TaskScores(
        name=name,
        task=where["task"],
        protocol=where["protocol"],
        use_sensitive=where["use_sensitive"],
        source=source_of(where["task"], sources),
        splits=splits,
        methods=methods,
        test=found["test"],
        validation=found["validation"],
        values=values["test"],
        validation_values=values["validation"],
        cost=cost,
    )
