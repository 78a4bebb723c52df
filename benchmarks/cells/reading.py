"""Finished cells read again, for tables and the tracker."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

from benchmarks.cells.cell import Cell
from reports.table import NUMBERS


def read_cell(folder: Path) -> Cell:
    """Read a finished cell; null becomes nan in number columns, "inf" an infinity."""
    cell = Cell(**json.loads((folder / "cell.json").read_text(encoding="utf-8")))
    for row in itertools.chain(cell.results, cell.groups, cell.routing, *cell.tables.values()):
        for column in NUMBERS & row.keys():
            row[column] = math.nan if row[column] is None else float(row[column])
    return cell
