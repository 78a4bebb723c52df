"""The merged folder: cells and what jobs keep, each whole or absent, so that a merge that is ended goes on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.cells.digests import FILE as DIGESTS
from benchmarks.cells.digests import cell_files, damages
from benchmarks.merging.copies import Chosen, State, merged_seconds, state_of
from benchmarks.plan.part_shares import TIMING
from benchmarks.plan.recorded import RecordedJob
from foundation.files import atomic_path, write_json
from foundation.hashing import hash_file


def write_job(
    job: RecordedJob, cells: Sequence[Chosen], sources: Sequence[Path], output: Path, told: Callable[[], None]
) -> None:
    """Put a job's cells and what it keeps into the merged folder; what is there already is left.

    Parameters
    ----------
    job : RecordedJob
    cells : sequence of Chosen
        Its finished cells.
    sources : sequence of Path
        Folders of the job in the folders that are merged, those that there are.
    output : Path
        The merged folder.
    told : callable
        Called once for each cell.
    """
    home = output / "jobs" / job.folder
    for cell in cells:
        _write_cell(cell.source, home / "cells" / cell.key)
        told()
    _remove_others(home / "cells", {cell.key for cell in cells})
    if sources:
        _write_state(max(map(state_of, sources), key=lambda state: state.order), home)
        write_json(home / TIMING, merged_seconds(sources))


def _write_cell(source: Path, target: Path) -> None:
    """A cell without what was noted of it later: receipts name the store of another machine."""
    if target.is_dir() and not damages(target) and hash_file(target / DIGESTS) == hash_file(source / DIGESTS):
        return
    with atomic_path(target) as temporary:
        for name in (*cell_files(source), DIGESTS):
            _link(source / name, temporary / name)


def _link(source: Path, target: Path) -> None:
    """The same file under a second name where the file system can; finished cells are never written to."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _write_state(state: State, home: Path) -> None:
    """What a job keeps is copied: a run that goes on in the merged folder appends to it."""
    here = state_of(home)
    for name in here.files.keys() - state.files.keys():
        (home / name).unlink()
    for name, digest in state.files.items():
        if here.files.get(name) != digest:
            with atomic_path(home / name) as temporary:
                shutil.copyfile(state.folder / name, temporary)


def _remove_others(cells: Path, keys: set[str]) -> None:
    """Cells of an earlier merge into the same folder that are not in these folders."""
    for path in cells.glob("*"):
        if path.name not in keys:
            shutil.rmtree(path)
