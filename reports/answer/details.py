"""Where the rows of the answer come from: parameters, runs, commands and saved models of every method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.answer.setting import DEFAULT_LEVEL
from reports.levels.contenders import PLAIN
from reports.names import DISPARITY
from reports.saved import Saved
from reports.stats.scores import TaskScores
from reports.table import Tables, further_table, select


@dataclass(frozen=True)
class Detail:
    """One cell of a method.

    Attributes
    ----------
    task, cell, run_id : str
        ``run_id``: of MLflow; empty where it was not sent.
    split, seed : int
    seconds : float
    trial, params : str
        Number in the study, and hyperparameters as JSON, of the trained configuration that keeps the default limit on
        validation rows; empty where the run does not tell them.
    command : int
        Number of the command that gives the row again, from 1.
    """

    task: str
    cell: str
    run_id: str
    split: int
    seed: int
    seconds: float
    trial: str
    params: str
    command: int


@dataclass(frozen=True)
class Details:
    """Cells of every method by task, split and seed; the commands, each once; saved models."""

    cells: Mapping[str, tuple[Detail, ...]]
    commands: tuple[str, ...]
    saved: tuple[Saved, ...] = ()

    def saved_of(self, method: str) -> tuple[Saved, ...]:
        """Saved models of a method."""
        return tuple(model for model in self.saved if model.method == method)


def details(tables: Tables, scenarios: Sequence[TaskScores]) -> Details:
    """Details of all methods of a run."""
    told = _configurations(tables)
    commands: dict[str, int] = {}
    cells: dict[str, list[Detail]] = {}
    for scores in scenarios:
        where = {"task": scores.task, "use_sensitive": scores.use_sensitive}
        rows = select(tables.provenance, **where).sort_values(["method", "split", "seed"], kind="stable")
        for record in rows.to_dict("records"):
            key = (scores.task, scores.use_sensitive, int(record["split"]), int(record["seed"]), str(record["method"]))
            trial, params = told.get(key, ("", ""))
            number = commands.setdefault(str(record["reproduce"]), len(commands) + 1)
            cells.setdefault(key[-1], []).append(
                Detail(scores.name, record["cell"], record["mlflow_run_id"], *key[2:4], float(record["wall_s"]),
                       trial, params, number)
            )  # fmt: skip
    return Details({method: tuple(own) for method, own in cells.items()}, tuple(commands), tables.saved)


def _configurations(tables: Tables) -> dict[tuple[Any, ...], tuple[str, str]]:
    """Cell → (trial, parameters) of the trained configuration at the default limit."""
    keys = ["task", "use_sensitive", "split", "seed", "method"]
    rows = select(further_table(tables, "levels"), gap=DISPARITY, level=DEFAULT_LEVEL, variant=PLAIN, procedural="")
    chosen = {tuple(row[:-1]): str(row[-1]) for row in _records(rows[rows["metric"] == "limit"], [*keys, "trial"])}
    params = {
        tuple(row[:-1]): str(row[-1]) for row in _records(further_table(tables, "trials"), [*keys, "trial", "params"])
    }
    return {cell: (trial, params.get((*cell, int(trial)), "")) for cell, trial in chosen.items() if trial.isdecimal()}


def _records(table: pd.DataFrame, columns: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    if not set(columns) <= set(table.columns):
        return ()
    return zip(*(table[column].tolist() for column in columns), strict=True)
