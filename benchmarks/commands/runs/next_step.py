"""What to do with a finished run: the command that chooses a model from it."""

from __future__ import annotations

import shlex
from pathlib import Path


def choose_hint(folder: Path) -> str:
    """Two lines that name the command ``fairmoe choose`` for a run's first task; "" where none can be chosen.

    Parameters
    ----------
    folder : Path
        Output folder of a bench run with its tables.
    """
    from benchmarks.cells.cell import IN_FILES
    from reports.table import read_core

    known = read_core(folder).provenance
    known = known[~known["reproduce"].astype(str).str.contains(IN_FILES, regex=False)]
    tasks = list(dict.fromkeys(map(str, known["task"])))
    if not tasks:
        return ""
    others = f" (or another of its {len(tasks)} tasks)" if len(tasks) > 1 else ""
    command = f"fairmoe choose {shlex.quote(str(folder))} --task {shlex.quote(tasks[0])}"
    return f"next, the model to use for a task{others}:\n  {command} --max-gap 0.05"
