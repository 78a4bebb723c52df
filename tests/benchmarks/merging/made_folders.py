"""Output folders with cells that nobody computed: a few bytes each, with all that a merge looks at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from benchmarks.cells.cell import Cell
from benchmarks.cells.digests import write_digests
from benchmarks.merging.merge import check, write
from benchmarks.plan.recorded import RecordedJob, RunPlan, plan_of, recorded
from benchmarks.plan.shard import suite_jobs
from benchmarks.plan.suite import Suite
from foundation.files import write_json
from foundation.hashing import hash_file

SUITE = Suite.model_validate(
    {"name": "made", "tasks": ("scm", "compas:race"), "splits": 2, "methods": ("constant", "logistic_regression")}
)
Place = tuple[int, int]
"""Which job of the suite, and which of its cells."""
PLACES: tuple[Place, ...] = tuple((job, cell) for job in range(4) for cell in range(2))


@cache
def jobs() -> tuple[RecordedJob, ...]:
    """All jobs of the suite."""
    return tuple(map(recorded, suite_jobs(SUITE)))


def make_folder(
    folder: Path, cells: Mapping[Place, float], *, planned: Iterable[int] = (), trials: int = 1, **changes: object
) -> Path:
    """An output folder; each cell says when it was finished.

    ``planned`` are jobs that it was to hold beside those of its cells; ``trials`` is how far their tuning is;
    ``changes`` are fields of its plan.
    """
    held = sorted({job for job, _ in cells} | set(planned))
    plan = plan_of(SUITE, [jobs()[index] for index in held], [])
    replace(plan, **changes).save(folder)  # type: ignore[arg-type]
    for index in held:
        home = folder / "jobs" / jobs()[index].folder
        (home / "tune").mkdir(parents=True)
        (home / "tune" / "journal.log").write_text("trial\n" * trials)
        write_json(home / "timing.json", {"tune utility": float(trials), f"method {folder.name[0]}": 1.0})
    for (index, which), finished in cells.items():
        make_cell(folder, jobs()[index], which, finished)
    return folder


def make_cell(folder: Path, job: RecordedJob, which: int, finished: float, estimate: float = 0.5) -> Path:
    """A finished cell."""
    (method, repeat) = job.cells()[which]
    cell = job.cell_folder(folder / "jobs", method, repeat)
    cell.mkdir(parents=True)
    found = Cell(job.cell_key(method, repeat), {"method": method}, cost={"finished": f"{finished}"})
    found.results.append({"metric": "acc@1", "estimate": estimate})
    found.save(cell)
    (cell / "predictions.parquet").write_bytes(found.key.encode())
    write_digests(cell)
    return cell


def merged(folders: list[Path], output: Path, *, partial: bool = True, allow_different: bool = False) -> dict[str, str]:
    """Files of the merged folder, without tables, and their hashes."""
    found = check(
        folders, output, partial=partial, allow_different=allow_different, tell=lambda what, done, total: None
    )
    write(found, output, lambda what, done, total: None)
    return tree(output)


def tree(folder: Path) -> dict[str, str]:
    """Path below a folder → hash of each file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}


def plan_without(plan: RunPlan, name: str) -> RunPlan:
    """A plan with another value of one fact of its environment."""
    return replace(plan, environment={**plan.environment, name: "0.0"})
