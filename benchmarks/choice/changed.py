"""Who is decided differently: rows of the test part whose decision is not that of the unconstrained choice."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from foundation.files import write_text
from tasks.task import TaskView

FILE = "changed.csv"


@dataclass(frozen=True)
class GroupChange:
    """Rows of a group.

    Attributes
    ----------
    group : str
    rows : int
        Test rows.
    gained, lost : int
        Decided 1 instead of 0, and 0 instead of 1.
    """

    group: str
    rows: int
    gained: int
    lost: int


def changes_by_group(view: TaskView, before: Tensor, after: Tensor) -> list[GroupChange]:
    """Decisions [n_test] bool of test rows, compared by group. No label is looked at."""
    groups = view.groups[view.split.test]
    found = []
    for number, name in enumerate(view.group_names):
        mine = groups == number
        found.append(
            GroupChange(name, int(mine.sum()), int((mine & ~before & after).sum()), int((mine & before & ~after).sum()))
        )
    return found


def write_changed(view: TaskView, before: Tensor, after: Tensor, folder: Path) -> None:
    """Write ``changed.csv``: published row number, group, decision of the unconstrained choice, decision now."""
    rows = view.split.test
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("row", "group", "from", "to"))
    for place in torch.nonzero(before != after).flatten().tolist():
        row = int(rows[place])
        group = view.group_names[int(view.groups[row])]
        table.writerow((int(view.rows[row]), group, int(before[place]), int(after[place])))
    write_text(folder / FILE, text.getvalue())
