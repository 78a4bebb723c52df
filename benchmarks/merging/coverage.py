"""What several folders have of a suite together, and what none of them has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.merging.inputs import NAMED, Input, MergeError
from benchmarks.plan.job import Job
from benchmarks.plan.recorded import RecordedJob, RunPlan
from benchmarks.plan.shard import Shard, cut, suite_jobs
from benchmarks.plan.suite import Suite, load_settings
from foundation.hashing import hash_json
from foundation.words import listing, plural


@dataclass(frozen=True)
class Coverage:
    """The suite, and who has what of it.

    Attributes
    ----------
    suite : Suite
    asked : tuple of Job
        All jobs that a run of the whole suite would have, in its order: the recorded one where a folder has it.
    held : tuple of RecordedJob
        Those that a folder has.
    absent : tuple of Job
        Those that none has.
    unavailable : list of {task, reason}
        Tasks that no folder has because their data could not be had.
    failures : list of dict
        Cells that could not be computed in any folder.
    unfinished : list of (RecordedJob, method, repetition)
        Other cells that no folder has: their run was ended.
    """

    suite: Suite
    asked: tuple[Job, ...]
    held: tuple[RecordedJob, ...]
    absent: tuple[Job, ...]
    unavailable: list[dict[str, str]]
    failures: list[dict[str, Any]]
    unfinished: list[tuple[RecordedJob, str, int]]


def coverage(inputs: Sequence[Input]) -> Coverage:
    """What folders of one suite have together; the order of the folders does not matter."""
    suite = load_settings(f"suite {inputs[0].plan.suite.get('name')!r}", dict(inputs[0].plan.suite))
    held = {job.place: job for entry in inputs for job in entry.plan.jobs}
    jobs = suite_jobs(suite)
    gaps = _unavailable(inputs, {job.title for job in held.values()})
    gone = {gap["task"] for gap in gaps}
    asked = tuple(held.get(job.place, job) for job in jobs if job.task not in gone)
    missing = [(job, m, r) for job in held.values() for m, r in job.cells() if not _is_there(inputs, job, m, r)]
    failures = _failures(inputs, {(job.name, m, r) for job, m, r in missing})
    failed = {(f["job"], f["method"], f["seed"]) for f in failures}
    return Coverage(
        suite, asked, tuple(job for job in asked if isinstance(job, RecordedJob)),
        tuple(job for job in asked if job.place not in held), gaps, failures,
        [(job, m, r) for job, m, r in missing if (job.name, m, r) not in failed],
    )  # fmt: skip


def check_coverage(inputs: Sequence[Input], found: Coverage) -> None:
    """Refuse what is not a whole suite.

    Raises
    ------
    MergeError
        The text names shards, jobs or cells that are missing, and what to do.
    """
    advice = "or merge what is there with --partial: the pages then say what they lack."
    if found.absent:
        reasons = {gap["task"]: gap["reason"] for entry in inputs for gap in entry.plan.unavailable}
        of_data = [f"{job.name} ({reasons[job.task]})" for job in found.absent if job.task in reasons]
        data = f" Data that a folder's machine did not have: {listing(of_data, most=2)}." if of_data else ""
        raise MergeError(
            f"Not all of {found.suite.name} is here: {_absent(inputs, found)}.{data} Compute them, {advice}"
        )
    if found.unfinished:
        cells = [f"{job.name} {method} (seed {repeat})" for job, method, repeat in found.unfinished]
        where = [
            str(e.folder) for e in inputs if {j.place for j in e.plan.jobs} & {j.place for j, _, _ in found.unfinished}
        ]
        raise MergeError(
            f"{plural(len(cells), 'cell')} of {listing(where, most=3)} {'is' if len(cells) == 1 else 'are'} not "
            f"finished: {listing(cells, most=NAMED)}. Run the command of that folder again, which goes on where it "
            f"was, {advice}"
        )


def merged_plan(inputs: Sequence[Input], found: Coverage) -> RunPlan:
    """The plan of what is merged: that of one run, if the suite is whole."""
    first = inputs[0].plan
    shards = {shard for entry in inputs for shard in entry.plan.shards} if found.absent else set()
    environment = min((entry.plan.environment for entry in inputs), key=hash_json)
    return RunPlan(
        first.suite, first.suite_hash, tuple(sorted(shards, key=lambda s: (s.of, s.index))), environment,
        tuple(found.unavailable), found.held,
    )  # fmt: skip


def _is_there(inputs: Sequence[Input], job: RecordedJob, method: str, repeat: int) -> bool:
    return any(entry.cell(job, job.cell_key(method, repeat)).is_dir() for entry in inputs)


def _unavailable(inputs: Sequence[Input], held: set[str]) -> list[dict[str, str]]:
    """Tasks without data everywhere, in the suite's order."""
    told: dict[str, list[str]] = {}
    for entry in inputs:
        for gap in entry.plan.unavailable:
            told.setdefault(gap["task"], []).append(gap["reason"])
    order = dict.fromkeys(task for entry in inputs for task in _tasks(entry))
    titles = {job.task: job.title for entry in inputs for job in entry.plan.jobs}
    return [
        {"task": task, "reason": min(told[task])}
        for task in order
        if task in told and titles.get(task, task) not in held
    ]


def _tasks(entry: Input) -> list[str]:
    text = entry.plan.suite.get("llm") or {}
    return [*entry.plan.suite["tasks"], *text.get("tasks", ())]


def _failures(inputs: Sequence[Input], missing: set[tuple[str, str, int]]) -> list[dict[str, Any]]:
    """One record for each cell that failed and that nobody has; sorted by cell."""
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for failure in sorted((f for entry in inputs for f in entry.failures), key=hash_json):
        cell = failure["job"], failure["method"], failure["seed"]
        if cell in missing:
            found.setdefault(cell, failure)
    return [found[cell] for cell in sorted(found)]


def _absent(inputs: Sequence[Input], found: Coverage) -> str:
    """Missing shards, where all folders are of the same cut; else jobs."""
    jobs = f"{plural(len(found.absent), 'job')} ({listing([job.name for job in found.absent], most=NAMED)})"
    counts = {shard.of for entry in inputs for shard in entry.plan.shards}
    if len(counts) != 1 or not all(entry.plan.shards for entry in inputs):
        return f"{jobs} are in none of the folders"
    (of,) = counts
    have = {shard for entry in inputs for shard in entry.plan.shards}
    absent = {job.place for job in found.absent}
    shares = cut(suite_jobs(found.suite), of)
    left = [
        i + 1 for i, share in enumerate(shares) if Shard(i + 1, of) not in have and absent & {j.place for j in share}
    ]
    if not left:
        return f"{jobs} are in none of the folders"
    names = listing([str(i) for i in left], most=20)
    return f"{'shards' if len(left) > 1 else 'shard'} {names} of {of} with {jobs}"
