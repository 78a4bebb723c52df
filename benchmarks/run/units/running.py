"""One unit in this process, and the end of a job whose units have all run."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.plan.job import Job
from benchmarks.plan.part_shares import TIMING, PartShares, expected_parts, recorded_seconds
from benchmarks.run.compute import compute_cells, made_ready
from benchmarks.run.failure import Failure
from benchmarks.run.stages.tuned_experts import BAGS
from benchmarks.run.telling.ledger import Ledger
from benchmarks.run.telling.notes import FILE as NOTES
from benchmarks.run.telling.notes import notes_kept
from benchmarks.run.telling.notify import Notify, PartsNotify
from benchmarks.run.time_limit import time_limit
from benchmarks.run.units.unit import Unit
from foundation.files import write_json, write_text

FOLDER = "units"
"""In a job's folder: of each unit its seconds and its remarks."""
EARLIER = "earlier"
"""In the place of a unit: seconds that were noted before there were units."""
ROUNDING = 1e-6
"""Seconds by which sums may differ."""


def run_unit(job: Job, unit: Unit, folder: Path, notify: Notify) -> list[Failure]:
    """Run one unit; what it stands on lies in the job's folder.

    Parameters
    ----------
    job : Job
    unit : Unit
    folder : Path
        Of all jobs. What a unit wrote there before it was interrupted is not made again.
    notify : callable
        Called with (job name, stage, share of the whole job that this unit has done).

    Returns
    -------
    list of Failure
        Cells of the unit that failed. A study or a bag that fails raises nothing: the methods that stand on it fail.
    """
    home = folder / job.folder
    own = home / FOLDER / unit.name
    told = PartsNotify(job.name, notify, PartShares(expected_parts(home, whole=True)))
    with notes_kept(own):
        ledger = Ledger(own / TIMING, told, before=seconds_of(home, without=unit.name))
        ready = made_ready(job, [method for method, _ in job.cells()], home, ledger, told)
        if unit.network is not None:
            tuned = ready.tuned.has(unit.network)
            if unit.kind == "bag" and tuned:
                role, family = unit.network
                with time_limit(job.method_seconds, f"Refitting {unit.name}"):
                    ready.tuned.bags(role, unit.repeat, family)
        elif unit.kind == "summary":
            ready.summarise()
        unfinished = set(job.unfinished(folder))
        return compute_cells(ready, [cell for cell in unit.cells if cell in unfinished], folder, told)


def seconds_of(home: Path, without: str = "") -> dict[str, float]:
    """Ledger entry -> seconds of all units of a job together."""
    found: dict[str, float] = {}
    for path in sorted((home / FOLDER).glob(f"*/{TIMING}")):
        if path.parent.name != without:
            for entry, seconds in recorded_seconds(path).items():
                found[entry] = found.get(entry, 0.0) + seconds
    return found


def open_job(job: Job, folder: Path) -> None:
    """Keep the seconds that an executor of one machine noted for a job, before units note theirs."""
    home, path = folder / job.folder, folder / job.folder / FOLDER / EARLIER / TIMING
    before = recorded_seconds(home / TIMING)
    known, earlier = seconds_of(home), recorded_seconds(path)
    more = {entry: seconds - known.get(entry, 0.0) for entry, seconds in before.items()}
    found = {entry: seconds + earlier.get(entry, 0.0) for entry, seconds in more.items() if seconds > ROUNDING}
    if found:
        write_json(path, earlier | found)


def close_job(job: Job, folder: Path) -> None:
    """Write what a job says of itself as a whole; bags of a finished one are removed."""
    home = folder / job.folder
    write_json(home / TIMING, seconds_of(home))
    files = sorted((home / FOLDER).glob(f"*/{NOTES}"))
    notes = dict.fromkeys(line for path in files for line in path.read_text(encoding="utf-8").splitlines())
    if notes:  # what several units remark is said once
        write_text(home / NOTES, "".join(f"{line}\n" for line in notes))
    if not job.unfinished(folder):
        shutil.rmtree(home / "tune" / BAGS, ignore_errors=True)
