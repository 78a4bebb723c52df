"""A unit on a node that does not share the output folder: its files come from a store, and go there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.run.executors.cluster.store import Store, cached
from foundation.files import atomic_path, is_temporary
from foundation.hashing import hash_file

if TYPE_CHECKING:
    from benchmarks.plan.job import Job
    from benchmarks.run.failure import Failure
    from benchmarks.run.telling.notify import Notify
    from benchmarks.run.units import Unit

    Compute = Callable[[Job, Unit, Path, Notify], list[Failure]]

CELLS = "cells/"
ASIDE = ("under_way",)
"""What a node keeps to itself."""


def stored_work(
    job: Job, unit: Unit, node: Path, url: str, notify: Notify, compute: Compute | None = None
) -> list[Failure]:
    """Fetch what other units of the job made, but for their cells; run the unit; store what it made.

    A unit works in a folder of its own, so that what others do on the same node at the same time is neither disturbed
    nor taken for its work; it is kept until the unit has been stored, so that a unit whose worker died goes on in it.
    Files that were fetched or made serve the next units of the node.

    Parameters
    ----------
    job, unit, notify
        See :func:`benchmarks.run.units.run_unit`.
    node : Path
        Folder of this node for this run.
    url : str
        Of the store.
    compute : callable, optional
        Runs the unit; default: :func:`benchmarks.run.units.run_unit`.
    """
    from benchmarks.run.units import run_unit

    store, cache, folder = Store(url), node / "files", node / "units" / job.folder / unit.name
    home = folder / job.folder
    goes_on, known = home.is_dir(), dict[str, str]()
    home.mkdir(parents=True, exist_ok=True)
    for name in store.units(job.folder):
        if not (goes_on and name == unit.name):  # what it made itself meanwhile is newer than what is stored
            known |= store.fetch(home, job.folder, name, lambda path: not path.startswith(CELLS), cache)
    failures = (compute or run_unit)(job, unit, folder, notify)
    made = {name: digest for name, digest in files_of(home).items() if known.get(name) != digest}
    store.keep(home, made, job.folder, unit.name)
    _offer(home, made, cache)
    shutil.rmtree(folder)
    return failures


def _offer(home: Path, made: Mapping[str, str], cache: Path) -> None:
    """Let the next units of this node have what a unit made, but for cells, which no unit reads."""
    for name, digest in made.items():
        if not name.startswith(CELLS):
            with atomic_path(cached(cache, digest)) as temporary:
                shutil.copyfile(home / name, temporary)


def files_of(home: Path) -> dict[str, str]:
    """sha256 of every whole file of a job's folder, by name."""
    found = {}
    for path in sorted(home.rglob("*")):
        parts = path.relative_to(home).parts
        if path.is_file() and not any(map(is_temporary, parts)) and parts[0] not in ASIDE:
            found["/".join(parts)] = hash_file(path)
    return found
