"""New rows and what the model says of them, gathered part by part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from benchmarks.models.empty_cells import empty_and_unknown
from benchmarks.models.monitoring.labels import MonitorError, groups_of, labels_of
from benchmarks.models.rows import cleaned

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from benchmarks.models.saved import SavedModel


@dataclass(frozen=True)
class NewRows:
    """New rows as numbers.

    Attributes
    ----------
    probability : [n] float64
    labels : [n] int64 in {0, 1}
    groups : [n] int64 in 0..g-1
    cells : mapping of column -> (int, int)
        Cells without a value, and with a category that no training row had, of all rows that were read.
    read : int
        Rows that were read.
    left : mapping of reason -> int
        Rows that are not among the n.
    """

    probability: Tensor
    labels: Tensor
    groups: Tensor
    cells: dict[str, tuple[int, int]]
    read: int
    left: dict[str, int] = field(default_factory=dict)


def gather(
    model: SavedModel, parts: Iterable[pd.DataFrame], labels: str, groups: str | None = None, edges: Path | None = None
) -> NewRows:
    """Ask a model about new rows; values that no training row had count as empty, and are counted.

    Parameters
    ----------
    model : SavedModel
    parts : iterable of DataFrame
        Raw rows with their labels.
    labels : str
        Column of the labels (:func:`labels_of`).
    groups : str, optional
        Column of the names of the groups; default: made of the columns that the card names.
    edges : Path, optional
        Of graph models: pairs of rows.

    Raises
    ------
    MonitorError, RowsError
        If a column is absent, a label or a group cannot be read, or no row is left.
    """
    found: list[tuple[Tensor, np.ndarray, np.ndarray]] = []
    cells = {column.name: (0, 0) for column in model.encoder.encoders}
    for part in [pd.concat(list(parts), ignore_index=True)] if model.needs_graph else parts:
        found.append(_asked(model, part, labels, groups, edges))
        table = cleaned(part, [column.name for column in model.encoder.encoders], model.card, model.task)
        for column in model.encoder.encoders:
            empty, unknown = empty_and_unknown(table[column.name], column)
            cells[column.name] = (cells[column.name][0] + empty, cells[column.name][1] + unknown)
    probability = torch.cat([part[0] for part in found])
    known, group = (torch.from_numpy(np.concatenate([part[k] for part in found])) for k in (1, 2))
    stay = (known >= 0) & (group >= 0)
    left = {"no label": int((known < 0).sum()), "in no group of the model": int(((group < 0) & (known >= 0)).sum())}
    if not bool(stay.any()):
        raise MonitorError("No row has a label and a group of the model; there is nothing to compare.")
    return NewRows(
        probability[stay], known[stay], group[stay], cells, len(known),
        {reason: count for reason, count in left.items() if count},
    )  # fmt: skip


def _asked(
    model: SavedModel, part: pd.DataFrame, labels: str, groups: str | None, edges: Path | None
) -> tuple[Tensor, np.ndarray, np.ndarray]:
    for name, option in ((labels, "--labels"), (groups, "--groups")):
        if name is not None and name not in part.columns:
            held = ", ".join(map(repr, part.columns[:12]))
            raise MonitorError(f"The rows have no column {name!r} ({option}); they have {held}.")
    known = labels_of(part[labels], model.card)
    if groups is not None:
        group = groups_of(part[groups], model.group_names)
    else:
        made = model.groups(part)
        if made is None:
            lacking = [name for name in model.group_columns if name not in part.columns]
            raise MonitorError(
                f"The rows lack the column(s) {', '.join(lacking)}, which say the group of a row; add them, or name a "
                f"column of group names with --groups (groups are {', '.join(model.group_names)})."
            )
        group = made.numpy()
    probability = model.predict_proba(part, edges, unknown="missing")[:, 1]
    return torch.from_numpy(probability.copy()), known, group
