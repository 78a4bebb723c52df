"""A unit on a node that does not share the output folder: its files come from a store, and go there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.run.executors.cluster.store import Store
from foundation.home import home as home_folder

if TYPE_CHECKING:
    from benchmarks.plan.job import Job
    from benchmarks.run.failure import Failure
    from benchmarks.run.telling.notify import Notify
    from benchmarks.run.units import Unit

CELLS = "cells/"
ASIDE = ("under_way/",)
"""What a node keeps to itself."""


def stored_work(job: Job, unit: Unit, sign: str, url: str, notify: Notify) -> list[Failure]:
    """Fetch what other units of the job made, but for their cells; run the unit; store what it made.

    The node's copy lies under fairmoe's home, one for each run, and serves the next unit of the job too.
    """
    from benchmarks.run.units import run_unit

    store, folder = Store(url), scratch(sign)
    home = folder / job.folder
    for name in store.units(job.folder):
        store.fetch(home, job.folder, name, lambda path: not path.startswith(CELLS))
    before = snapshot(home)
    failures = run_unit(job, unit, folder, notify)
    made = [name for name, facts in snapshot(home).items() if before.get(name) != facts]
    store.keep(home, made, job.folder, unit.name)
    return failures


def scratch(sign: str) -> Path:
    """Folder of all jobs of a run on a node that does not share the output folder."""
    return home_folder() / "cluster" / sign / "jobs"


def clear_scratch(sign: str) -> None:
    """Remove a run's copies from this machine."""
    shutil.rmtree(scratch(sign).parent, ignore_errors=True)


def snapshot(home: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every whole file of a job's folder, by name."""
    found = {}
    for path in home.rglob("*"):
        name = path.relative_to(home).as_posix()
        partial = any(part.startswith(".") and part.endswith(".tmp") for part in path.relative_to(home).parts)
        if path.is_file() and not partial and not name.startswith(ASIDE):
            facts = path.stat()
            found[name] = facts.st_size, facts.st_mtime_ns
    return found
