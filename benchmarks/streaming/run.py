"""A suite in bounded memory: which tasks and methods, one job after the other; tables and pages as of every run."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.plan.job import Job
from benchmarks.plan.part_shares import TIMING
from benchmarks.plan.shard import Shard
from benchmarks.plan.suite import Suite
from benchmarks.run.collect import RunSummary, finished_cells
from benchmarks.run.executors.executor import Outcome, attempt
from benchmarks.run.failure import Failure
from benchmarks.run.runner import cell_failures, run_suite, tell_failures
from benchmarks.run.telling.ledger import Ledger
from benchmarks.run.telling.notify import Notify
from benchmarks.streaming.job import StreamedJob
from benchmarks.streaming.memory import lacks_memory, peak_gib, refuse_too_little
from benchmarks.streaming.methods import streamed_methods
from benchmarks.streaming.telling import StageBars, stage_bars
from benchmarks.tracking.sender import sending
from foundation.console import styled
from tasks.registry import resolve, row_cap
from tasks.stored.chunks import refuse_unstreamed


def run_streamed(
    suite: Suite,
    output: Path,
    *,
    max_memory: float,
    named: bool,
    console: Console,
    strict: bool = False,
    shard: Shard | None = None,
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
    console : Console
    strict, shard
        As for :func:`benchmarks.run.runner.run_suite`.

    Returns
    -------
    The summary, and the largest resident memory of this process in GiB.

    Raises
    ------
    SuiteError
        If a method that was named, or every method, cannot run so, or the limit is too low.
    DataError
        If a task cannot be read in passes.
    DataUnavailableError, ShardError
        As :func:`benchmarks.run.runner.run_suite` raises them.
    """
    cards = {task: resolve(task).card for task in suite.tasks}
    for task, card in cards.items():
        refuse_unstreamed(card, suite.protocol, row_cap(task))
        refuse_too_little(card.rows, max_memory)
    methods, left = streamed_methods(
        suite.methods, named=named, lacks=partial(lacks_memory, cards=tuple(cards.values()), limit=max_memory)
    )
    for reason, names in left.items():
        console.print(styled("LEFT OUT", "bold yellow", f" {', '.join(names)}: {reason}"), soft_wrap=True)
    own = suite.model_copy(update={"methods": tuple(methods), "llm": None, "rows_in_files": True})
    summary = run_suite(own, output, workers=1, strict=strict, console=console, shard=shard, compute=_compute)
    return summary, peak_gib()


def _compute(
    suite: Suite,  # noqa: ARG001 - the jobs say all of it
    todo: list[Job],
    output: Path,
    workers: int,  # noqa: ARG001 - one after the other: the limit is that of the process
    console: Console,
    summary: RunSummary,
) -> None:
    """Jobs one after the other; a job that fails does not end the others."""
    told = set[tuple[str, str]]()
    with sending(aside=False) as send:
        for job in todo:
            outcome = _attempted(job, output, console)
            send(finished_cells([job], output))
            failures = cell_failures(outcome, output)
            summary.failures += failures
            tell_failures(job, failures, console, told)


def _attempted(job: Job, output: Path, console: Console) -> Outcome:
    with stage_bars(job.name, console) as shown:
        return attempt(job, output / "jobs", _silent, partial(_run, shown=shown))


def _run(job: Job, folder: Path, notify: Notify, *, shown: StageBars) -> list[Failure]:  # noqa: ARG001 - bars are told
    ledger = Ledger(folder / job.folder / TIMING, shown)
    return StreamedJob(job, folder, shown.tell, ledger).run()


def _silent(job: str, stage: str, share: float) -> None:
    """Nothing: each stage has a bar of its own."""
