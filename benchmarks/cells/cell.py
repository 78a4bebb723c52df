"""A finished cell on disk: scores, predictions, routing, cost. Whole or absent."""

from __future__ import annotations

import errno
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.files import write_json
from foundation.numbers import finite, spelled

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from numpy.typing import NDArray

    from metrics.evidence import Evidence
    from metrics.score import Scores
    from tasks.task import TaskView

Row = dict[str, Any]

JOB = "job.json"
"""In the folder of a cell of seed 0: the job that it belongs to, from which its model can be made again."""

IN_FILES = "--max-memory"
"""In the command of a cell whose rows stayed in files: of such a one no model is chosen or made again."""

NO_PLACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


@dataclass
class Cell:
    """One method's results on one job, as plain rows of the output tables.

    ``stages`` holds curves for the tracker: metric name → list of (step, value). ``tables`` holds the rows of tables
    that only some methods have: table name → rows, see :data:`reports.table.FURTHER`.
    """

    key: str
    head: Row  # the identifying columns of every table row
    results: list[Row] = field(default_factory=list)
    groups: list[Row] = field(default_factory=list)
    routing: list[Row] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    cost: Row = field(default_factory=dict)
    tables: dict[str, list[Row]] = field(default_factory=dict)
    lost: list[Row] = field(default_factory=list)  # extras that failed: step, reason, error

    @contextmanager
    def extra(self, step: str, *files: Path) -> Iterator[None]:
        """A step that the cell can do without: what goes wrong is noted in ``lost``, and ``files`` are taken back.

        A disk that is full or read-only is not the step's fault, and would spoil the rest: that is raised.
        """
        try:
            yield
        except Exception as error:
            for path in files:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno in NO_PLACE:
                raise
            reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
            self.lost.append({"step": step, "reason": reason, "error": traceback.format_exc()})

    def add_scores(self, part: str, scores: Scores) -> None:
        """Append the rows of one scored part."""
        for metric, value in scores.values.items():
            self.results.append({**self.head, "part": part, "metric": metric, **asdict(value)})
        self.groups += [{**self.head, "part": part, **asdict(row)} for row in scores.groups]

    def add_table(self, name: str, rows: list[Row]) -> None:
        """Append rows to a table that only some methods have."""
        self.tables.setdefault(name, []).extend({**self.head, **row} for row in rows)

    def save(self, folder: Path) -> None:
        """Write ``cell.json``; nan becomes null, and so do infinities outside of the rows of ``tables``.

        There an allowed gap is infinite where none is demanded: these are spelled.
        """
        facts = asdict(self)
        write_json(folder / "cell.json", finite({**facts, "tables": spelled(facts["tables"])}))


def predictions_frame(view: TaskView, parts: dict[str, tuple[torch.Tensor, Evidence]]) -> pd.DataFrame:
    """One row per scored row: published row number, part, probability and reasons, no labels.

    ``parts`` maps a part's name to (row ids, evidence).
    """
    import pandas as pd

    return pd.concat([_part_frame(view, part, rows, e) for part, (rows, e) in parts.items()], ignore_index=True)


def _part_frame(view: TaskView, part: str, rows: torch.Tensor, evidence: Evidence) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {
        "row": view.rows[rows].numpy(),
        "part": part,
        "probability": evidence.probability.float().numpy(),
    }
    if evidence.masked is not None:
        columns["masked"] = _at_rows(evidence, evidence.masked, len(rows))
    if evidence.attributions is not None:
        for index, column in enumerate(view.columns):
            columns[f"attribution.{column.name}"] = _at_rows(evidence, evidence.attributions[:, index], len(rows))
    if evidence.counterfactual is not None:
        for index, group in enumerate(view.group_names):
            columns[f"counterfactual.{group}"] = evidence.counterfactual[:, index].float().numpy()
    return pd.DataFrame(columns)


def _at_rows(evidence: Evidence, values: torch.Tensor, count: int) -> NDArray[np.float32]:
    """[count] values of explained rows at their places; nan where a row was not explained."""
    import torch

    known = values.float()
    if evidence.explained is not None:
        known = torch.full((count,), torch.nan).index_copy(0, evidence.explained, known)
    found: NDArray[np.float32] = known.numpy()
    return found
