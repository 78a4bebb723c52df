"""A suite from start to leaderboard: availability, plan, jobs, tracking, tables, pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmarks.plan.job import Job, plan
from benchmarks.plan.part_shares import PARTS, TIMING
from benchmarks.plan.recorded import check_part, part_facts, plan_of
from benchmarks.plan.shard import Shard, jobs_of_shard, tasks_of
from benchmarks.plan.suite import Suite
from benchmarks.run.collect import RunSummary, collect, finished_cells
from benchmarks.run.deaths import forget_deaths
from benchmarks.run.executors import Outcome, make_executor
from benchmarks.run.own_data import check_own_cards
from benchmarks.run.telling.notes import FILE as NOTES
from benchmarks.run.telling.notes import notes_of
from benchmarks.run.telling.progress import show_progress
from benchmarks.run.telling.stage_times import stage_seconds, stage_table
from benchmarks.run.written import Written
from foundation.addresses import shown
from foundation.console import styled
from foundation.files import write_json
from foundation.folder_lock import folder_lock
from foundation.progress import counted_bars
from foundation.words import plural

if TYPE_CHECKING:
    from benchmarks.plan.time_estimate import Clock


Compute = Callable[[Suite, list[Job], Path, int, Console, "RunSummary"], None]
"""Runs jobs that are not finished: (suite, jobs, output, workers, console, summary to which it adds failures)."""


class DataUnavailableError(RuntimeError):
    """Data that a strict run needs cannot be had."""


def run_suite(
    suite: Suite,
    output: Path,
    *,
    workers: int,
    strict: bool,
    console: Console,
    prepare: Callable[[], None] | None = None,
    shard: Shard | None = None,
    compute: Compute | None = None,
) -> RunSummary:
    """Run what is not finished yet, then write tables and pages from everything that is.

    Parameters
    ----------
    suite : Suite
    output : Path
        Finished cells found here are kept; the same command goes on where a run was interrupted. One run at a time
        may write to it.
    workers : int
        Worker processes; 1 runs in this process.
    strict : bool
        Data that cannot be had is an error instead of a loud line.
    prepare : callable, optional
        Makes ready what text experts stand on; called once before the jobs, if one of them reads rows as text.
    shard : Shard, optional
        Only this share of the suite's jobs; default: all of them.
    compute : callable, optional
        Runs the jobs; default: by the executor that the suite names.

    Raises
    ------
    DataUnavailableError
        If none of the tasks can be had, or, with ``strict``, one cannot.
    ShardError
        If there is no such share, or the folder holds other ones.
    """
    with counted_bars(console) as bars:
        check_own_cards(suite, shard, bars.tell)
    check_part(suite, output, shard)
    tasks = suite.all_tasks if shard is None else tasks_of(jobs_of_shard(suite, shard))
    cards, unavailable = available_tasks(tasks)
    for gap in unavailable:
        console.print(styled("UNAVAILABLE", "bold red", f" {gap['task']}: {gap['reason']}"), soft_wrap=True)
    if strict and unavailable:
        raise DataUnavailableError(
            f"--strict: {len(unavailable)} of {plural(len(tasks), 'task')} cannot be had "
            f"({', '.join(g['task'] for g in unavailable)}); "
            "the reasons are above. Put the files where they say, or run without --strict."
        )
    if unavailable and not cards:
        raise DataUnavailableError(
            f"None of the tasks of {suite.name} can be had ({', '.join(g['task'] for g in unavailable)}): nothing was "
            "run or written. The reasons are above."
        )
    with folder_lock(output, f"fairmoe bench {suite.name}"):
        return _run(suite, cards, unavailable, output, workers, console, prepare, shard, compute or _run_jobs)


def _planned(suite: Suite, cards: dict[str, str], output: Path, shard: Shard | None) -> tuple[list[Job], list[Job]]:
    """All jobs of the run, and those with cells that are not finished."""
    jobs = list(plan(suite, cards))
    if shard is not None:
        own = {job.place for job in jobs_of_shard(suite, shard)}
        jobs = [job for job in jobs if job.place in own]
    return jobs, [job for job in jobs if len(finished_cells([job], output)) < len(job.cells())]


def _run(
    suite: Suite,
    cards: dict[str, str],
    unavailable: list[dict[str, str]],
    output: Path,
    workers: int,
    console: Console,
    prepare: Callable[[], None] | None,
    shard: Shard | None,
    compute: Compute,
) -> RunSummary:
    """The run itself, in a folder that is its own."""
    jobs, todo = _planned(suite, cards, output, shard)
    if prepare is not None and any(job.llm for job in todo):
        prepare()
        jobs, todo = _planned(suite, cards, output, shard)  # a published base's commit is in the keys once it is here
    console.print(
        f"{suite.name}{f', {shard}' if shard else ''}: {plural(len(jobs), 'job')} "
        f"({len(jobs) - len(todo)} already finished), {_where(suite, workers)}, output {output}"
    )
    plan_of(suite, jobs, unavailable, shard).save(output)
    summary = RunSummary(output, len(jobs), len(todo), unavailable, part=part_facts(() if shard is None else (shard,)))
    written = Written(suite, jobs, output, unavailable)
    standing = None if todo else written.pages()
    if standing is not None:
        console.print("Nothing has changed: tables and pages are those of the last run.")
        summary.pages = standing
        return summary
    compute(suite, todo, output, workers, console, summary)
    _tell_notes(todo, output, console)
    _track(jobs, output, console, summary)
    collect(suite, jobs, output, summary)
    if not finished_cells(jobs, output):
        console.print("No cell is finished, so there is nothing to show and no page is written.")
        return summary
    for lost in summary.lost:
        console.print(
            styled(
                "WITHOUT",
                "bold yellow",
                f" {lost['task']} split {lost['split']} {lost['method']} (seed {lost['seed']}): its scores are there, "
                f"its {lost['step']} failed ({lost['reason']}). To try again, delete the cell folder {lost['cell']} "
                f"under {output / 'jobs'} and run the same command.",
            ),
            soft_wrap=True,
        )
    seconds = stage_seconds(output / "jobs" / job.folder / TIMING for job in jobs)
    if todo and seconds:
        console.print(stage_table(seconds))
    from reports.build import write_report

    summary.pages = write_report(output)
    if summary.ok and not summary.tracking_error:
        written.note(summary.pages)
    return summary


def _where(suite: Suite, workers: int) -> str:
    where = plural(workers, "worker") if suite.executor == "local" else f"Ray at {suite.address}"
    return f"{where}, studies in {shown(suite.storage)}" if suite.storage else where


def available_tasks(tasks: Iterable[str]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Card hash of every task whose data can be had, and the reasons for the others."""
    from tasks.fetch import FetchError, fetch
    from tasks.registry import resolve

    cards: dict[str, str] = {}
    unavailable = []
    for task in tasks:
        card = resolve(task).card  # an unknown name is an error of the suite, not missing data
        try:
            fetch(card)
            cards[task] = card.hash
        except FetchError as error:
            unavailable.append({"task": task, "reason": str(error)})
    return cards, unavailable


def _run_jobs(suite: Suite, todo: list[Job], output: Path, workers: int, console: Console, summary: RunSummary) -> None:
    if not todo:
        return
    from benchmarks.plan.dry_run import earlier_clock, planned_jobs
    from benchmarks.plan.scheduling.work import longest_first
    from benchmarks.tracking.sender import sending

    forget_deaths(output / "jobs" / job.folder for job in todo)
    workers = workers if suite.executor == "ray" else min(workers, len(todo))
    told = set[tuple[str, str]]()
    clock = earlier_clock(suite, output)
    executor = make_executor(suite, workers, clock, lambda text: _tell_waiting(console, text))
    planned = planned_jobs(todo, output, clock)
    todo = [todo[place] for place in longest_first([each.seconds.likely for each in planned])]
    expected = {each.job.name: each.seconds.likely for each in planned}
    _write_parts(todo, output, clock)
    with show_progress(expected, console, workers=workers) as progress, sending(aside=workers > 1) as send:
        for outcome in executor.run(todo, output / "jobs", progress.notify):
            failures = cell_failures(outcome, output)
            progress.finish(outcome.job.name, bool(failures))
            send(finished_cells([outcome.job], output))
            summary.failures += failures
            tell_failures(outcome.job, failures, console, told)


def tell_failures(job: Job, failures: list[dict[str, Any]], console: Console, told: set[tuple[str, str]]) -> None:
    """Say why cells of a job failed; ``told`` remembers what was said of its task before."""
    for who, reason in reasons_of(failures, len(job.cells())):
        again = (job.title, reason) in told
        told.add((job.title, reason))
        said = "the same as above" if again else reason
        console.print(styled("FAILED", "bold red", f" {job.name} {who}: {said}"), soft_wrap=True)


def _tell_waiting(console: Console, text: str) -> None:
    console.print(styled("WAITING", "bold yellow", f" {text}"), soft_wrap=True, highlight=False)


def _write_parts(todo: list[Job], output: Path, clock: Clock) -> None:
    """What the parts of each job should take, so that the job can say how far it is."""
    from benchmarks.plan.planned_parts import planned_parts

    for job in todo:
        parts = planned_parts(job, job.unfinished(output / "jobs"), clock)
        write_json(output / "jobs" / job.folder / PARTS, parts)


def _tell_notes(todo: list[Job], output: Path, console: Console) -> None:
    """One line for all remarks of the run's jobs, which lie in their folders."""
    notes = notes_of(output / "jobs" / job.folder for job in todo)
    lines = [line for of_job in notes.values() for line in of_job]
    if lines:
        where = next(iter(notes)) if len(notes) == 1 else output / "jobs" / "*" / NOTES
        first = lines[0] if len(lines[0]) <= 160 else f"{lines[0][:157]}..."
        count = "1 remark" if len(lines) == 1 else f"{len(lines)} remarks of {plural(len(notes), 'job')}, such as"
        console.print(styled("NOTES", "bold yellow", f" {count}: {first} (all: {where})"), soft_wrap=True)


def reasons_of(failures: list[dict[str, Any]], cells: int) -> list[tuple[str, str]]:
    """(who, reason) of the failures of a job: each reason once, with all that failed for it."""
    by_reason: dict[str, list[str]] = {}
    for failure in failures:
        reason = failure["error"].strip().splitlines()[-1]
        by_reason.setdefault(reason, []).append(f"{failure['method']} (seed {failure['seed']})")
    return [(f"all {cells} cells" if 1 < len(who) == cells else ", ".join(who), why) for why, who in by_reason.items()]


def cell_failures(outcome: Outcome, output: Path) -> list[dict[str, Any]]:
    """One record per cell that an outcome left without a result; cells finished before stay finished."""
    job = outcome.job
    if outcome.error:
        cells = [(method, repeat, outcome.error) for method, repeat in job.unfinished(output / "jobs")]
    else:
        cells = [(f.method, f.repeat, f.error) for f in outcome.failures]
    return [{"job": job.name, "task": job.title, "method": m, "seed": r, "error": e} for m, r, e in cells]


def _track(jobs: list[Job], output: Path, console: Console, summary: RunSummary) -> None:
    """Send what was not sent while jobs ran: cells of earlier runs, and all after a failure."""
    from benchmarks.tracking.mlflow_store import TrackingError, open_tracker, send_all, unsent

    try:
        folders = unsent(finished_cells(jobs, output))
        if not folders:
            return
        with console.status(f"sending {plural(len(folders), 'cell')} to MLflow"):
            send_all(open_tracker(), folders)
    except TrackingError as error:
        summary.tracking_error = str(error)
        console.print(styled("TRACKING", "bold yellow", f" {error}"), soft_wrap=True)
