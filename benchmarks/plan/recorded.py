"""What an output folder was to hold, written before anything is computed: which jobs, of which suite, by which code.

From ``plan.json`` alone another machine knows where every cell lies and by what it was made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from benchmarks.plan.environment import environment_facts
from benchmarks.plan.job import Job, job_facts, job_fields
from benchmarks.plan.shard import Shard, ShardError
from benchmarks.plan.suite import Suite
from foundation.files import write_json

FILE = "plan.json"
FORMAT = "fairmoe-plan/1"


@dataclass(frozen=True)
class RecordedJob(Job):
    """A job as it was planned, with the names that its folder and cells have got, whatever code reads it."""

    recorded_key: str = ""
    recorded_cells: Mapping[tuple[str, int], str] = field(default_factory=dict, hash=False)

    @property
    def key(self) -> str:
        """Hash of everything that determines the job's experts."""
        return self.recorded_key

    def cells(self) -> list[tuple[str, int]]:
        """(method, repetition) of every cell."""
        return list(self.recorded_cells)

    def cell_key(self, method: str, repeat: int) -> str:
        """Hash of everything that determines one cell."""
        return self.recorded_cells[method, repeat]


@dataclass(frozen=True)
class RunPlan:
    """What a run, or several that were merged, had before them.

    Attributes
    ----------
    suite : mapping
        Settings of the whole suite, JSON-able.
    suite_hash : str
    shards : tuple of Shard
        Shares of the suite that the jobs are; empty for a whole suite.
    environment : mapping
        Python, machine type and library versions.
    unavailable : tuple of {task, reason}
        Tasks whose data could not be had; their jobs are left out.
    jobs : tuple of RecordedJob
        In the suite's order.
    """

    suite: Mapping[str, Any]
    suite_hash: str
    shards: tuple[Shard, ...]
    environment: Mapping[str, str]
    unavailable: tuple[Mapping[str, str], ...]
    jobs: tuple[RecordedJob, ...]

    def save(self, output: Path) -> None:
        """Write ``plan.json`` into an output folder."""
        facts = {
            "format": FORMAT, "suite": dict(self.suite), "suite_hash": self.suite_hash,
            "shards": [[shard.index, shard.of] for shard in self.shards], "environment": dict(self.environment),
            "unavailable": [dict(gap) for gap in self.unavailable], **_records(self.jobs),
        }  # fmt: skip
        write_json(output / FILE, facts)


def plan_of(
    suite: Suite, jobs: Sequence[Job], unavailable: Sequence[Mapping[str, str]], shard: Shard | None = None
) -> RunPlan:
    """The plan of a run of this code in this environment."""
    return RunPlan(
        suite.facts, suite.hash, () if shard is None else (shard,), environment_facts(),
        tuple(unavailable), tuple(map(recorded, jobs)),
    )  # fmt: skip


def part_facts(shards: Sequence[Shard]) -> dict[str, Any]:
    """What ``suite.json`` says of a run that has only some shares of its suite; nothing for a whole one."""
    return {"shards": [[shard.index, shard.of] for shard in shards]} if shards else {}


def check_part(suite: Suite, output: Path, shard: Shard | None) -> None:
    """Refuse a share in a folder of other shares, or of a whole suite, whose tables it would take away.

    Raises
    ------
    ShardError
        If the folder was made for anything else; a whole run may go on from a share.
    """
    known = read_plan(output)
    if shard is None or known is None or (known.shards == (shard,) and known.suite_hash == suite.hash):
        return
    holds = " and ".join(map(str, known.shards)) or "a whole run"
    other = "" if known.suite_hash == suite.hash else " with other settings"
    raise ShardError(
        f"The folder {output} holds {holds} of {known.suite['name']}{other}; {shard} of {suite.name} would replace its "
        "tables. Give another folder with --output."
    )


def recorded(job: Job) -> RecordedJob:
    """A job with the names that its folder and cells have now."""
    cells = {cell: job.cell_key(*cell) for cell in job.cells()}
    return RecordedJob(
        **{f.name: getattr(job, f.name) for f in fields(Job)}, recorded_key=job.key, recorded_cells=cells
    )


def read_plan(output: Path) -> RunPlan | None:
    """The plan of an output folder; None where there is none that this version can read."""
    path = output / FILE
    try:
        facts = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError:
        return None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        return None
    return RunPlan(
        facts["suite"], facts["suite_hash"], tuple(Shard(*pair) for pair in facts["shards"]), facts["environment"],
        tuple(facts["unavailable"]), tuple(_job(facts["all_jobs"], record) for record in facts["jobs"]),
    )  # fmt: skip


def _records(jobs: Sequence[Job]) -> dict[str, Any]:
    """What all jobs share, once, and what each has of its own."""
    facts = [job_facts(job) for job in jobs]
    shared = {
        name: value for name, value in (facts[0] if facts else {}).items() if all(f[name] == value for f in facts)
    }
    own = [{name: value for name, value in fact.items() if name not in shared} for fact in facts]
    return {
        "all_jobs": shared,
        "jobs": [
            {"job": fact, "key": job.key, "cells": {f"{m} {r}": job.cell_key(m, r) for m, r in job.cells()}}
            for job, fact in zip(jobs, own, strict=True)
        ],
    }


def _job(shared: Mapping[str, Any], record: Mapping[str, Any]) -> RecordedJob:
    found = RecordedJob(**job_fields({**shared, **record["job"]}), recorded_key=record["key"])
    cells = {(method, int(r)): key for name, key in record["cells"].items() for method, r in [name.rsplit(" ", 1)]}
    return replace(found, recorded_cells={cell: cells[cell] for cell in Job.cells(found) if cell in cells})
