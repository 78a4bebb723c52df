"""A suite in bounded memory: which tasks and methods, one job after the other, tables and pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.plan.code import source_hash
from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import Suite
from benchmarks.run.collect import RunSummary, collect
from benchmarks.run.telling.ledger import Ledger
from benchmarks.streaming.job import StreamedJob, Tell
from benchmarks.streaming.memory import peak_gib, refuse_too_little
from benchmarks.streaming.methods import streamed_methods
from foundation.console import styled
from foundation.folder_lock import folder_lock
from tasks.registry import resolve, row_cap
from tasks.stored.chunks import refuse_unstreamed

ROOM = "benchmarks/streaming"
"""Its code is part of a streamed job's key: training mixes rows of blocks, and reasons come from a sample."""


def run_streamed(
    suite: Suite, output: Path, *, max_memory: float, named: bool, console: Console
) -> tuple[RunSummary, float]:
    """Run what is not finished yet, and write tables and pages.

    Parameters
    ----------
    suite : Suite
    output : Path
        As for :func:`benchmarks.run.runner.run_suite`.
    max_memory : float
        GiB that the process may hold; what cannot keep it is refused before anything runs.
    named : bool
        Whether the methods were asked for by name: then one that cannot run so is an error, not a remark.

    Returns
    -------
    The summary, and the largest resident memory of this process in GiB.

    Raises
    ------
    SuiteError
        If a method that was named, or every method, cannot run so, or the limit is too low.
    DataError
        If a task cannot be read in passes.
    """
    methods, left = streamed_methods(suite.methods, named=named)
    for task in suite.tasks:
        card = resolve(task).card
        refuse_unstreamed(card, suite.protocol, row_cap(task))
        refuse_too_little(card.rows, max_memory)
    for reason, names in left.items():
        console.print(styled("LEFT OUT", "bold yellow", f" {', '.join(names)}: {reason}"), soft_wrap=True)
    own = suite.model_copy(update={"methods": tuple(methods), "seeds": 1, "llm": None})
    jobs = [
        replace(job, settings=f"streamed {source_hash(ROOM)}", seeds=1)
        for job in plan(own, {task: resolve(task).card.hash for task in own.tasks})
    ]
    with folder_lock(output, f"fairmoe bench {suite.name}"):
        summary = RunSummary(output, len(jobs), 0, [])
        for job in jobs:
            summary.computed += _run(job, output, console)
        collect(own, jobs, output, summary)
        from reports.build import write_report

        summary.pages = write_report(output)
    return summary, peak_gib()


def _run(job: Job, output: Path, console: Console) -> bool:
    """Compute a job that is not finished; whether there was anything to do."""
    if not job.unfinished(output / "jobs"):
        return False
    folder = output / "jobs" / job.folder
    with _bars(job.name, console) as tell:
        StreamedJob(job, folder, tell, Ledger(folder / "timing.json")).run(output / "jobs")
    return True


@contextmanager
def _bars(name: str, console: Console) -> Iterator[Tell]:
    """One bar per stage of a job."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        known: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in known:
                known[what] = progress.add_task(what, total=total)
            progress.update(known[what], completed=done, total=total)

        console.print(f"{name}: streamed", highlight=False)
        yield tell
