"""A suite's jobs in shares, for machines that know nothing of each other: each computes one, all are merged later."""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import Suite
from benchmarks.plan.time_estimate import Clock
from foundation.words import plural
from tasks.registry import resolve

_SHAPE = re.compile(r"\s*(?P<index>\d{1,9})\s*/\s*(?P<of>\d{1,9})\s*")


class ShardError(ValueError):
    """A share of a suite that there is not."""


@dataclass(frozen=True)
class Shard:
    """One of several shares of a suite's jobs; the first is 1."""

    index: int
    of: int

    @classmethod
    def read(cls, text: str) -> Shard:
        """The shard of ``3/20``.

        Raises
        ------
        ShardError
            If the text has another form, or the first number is not between 1 and the second.
        """
        found = _SHAPE.fullmatch(text)
        if found is None or not 1 <= int(found["index"]) <= int(found["of"]):
            raise ShardError(
                f"--shard {text!r} names no share of a suite. Write which one of how many, the first being 1, such as "
                "--shard 3/20."
            )
        return cls(int(found["index"]), int(found["of"]))

    def __str__(self) -> str:
        """``shard 3 of 20``."""
        return f"shard {self.index} of {self.of}"


def suite_jobs(suite: Suite) -> list[Job]:
    """All jobs of a suite in its order, whether their data are on this machine or not."""
    return list(plan(suite, {task: resolve(task).card.hash for task in suite.all_tasks}))


def jobs_of_shard(suite: Suite, shard: Shard | None) -> list[Job]:
    """The jobs of one shard, or all (None), in the suite's order; what is finished and this machine change nothing.

    Raises
    ------
    ShardError
        If there are more shards than jobs.
    """
    jobs = suite_jobs(suite)
    if shard is None:
        return jobs
    if shard.of > len(jobs):
        most = f"--shard {min(shard.index, len(jobs))}/{len(jobs)} at most" if len(jobs) > 1 else "no --shard"
        raise ShardError(
            f"{suite.name} has {plural(len(jobs), 'job')} (a job is one split of one task), so it cannot "
            f"be cut into {shard.of} shards: some would have nothing to do. Give {most}, or more --splits."
        )
    return cut(jobs, shard.of)[shard.index - 1]


def tasks_of(jobs: Sequence[Job]) -> tuple[str, ...]:
    """Tasks of jobs, each once, in their order."""
    return tuple(dict.fromkeys(job.task for job in jobs))


def cut(jobs: Sequence[Job], count: int) -> list[list[Job]]:
    """Jobs in ``count`` shares of about the same cost, each in the order of ``jobs``.

    Longest first, each to the share that has least so far: the dearest share has at most 4/3 of what the best cut
    would give it. Costs are those of the built-in rates in milliseconds, so that every machine cuts alike, whatever it
    has computed before.

    References
    ----------
    R. L. Graham (1969), Bounds on multiprocessing timing anomalies, theorem 2.
    """
    costs = job_costs(jobs)
    shares = [(0, index) for index in range(count)]
    chosen: list[list[int]] = [[] for _ in range(count)]
    for place in sorted(range(len(jobs)), key=lambda place: (-costs[place], place)):
        load, index = heapq.heappop(shares)
        chosen[index].append(place)
        heapq.heappush(shares, (load + costs[place], index))
    return [[jobs[place] for place in sorted(places)] for places in chosen]


def job_costs(jobs: Sequence[Job]) -> list[int]:
    """Milliseconds of whole jobs of one suite by the built-in rates; splits of a task cost the same."""
    clock = Clock(())
    known: dict[tuple[str, bool], int] = {}
    for job in jobs:
        like = job.task, job.llm is None
        if like not in known:
            known[like] = round(1000 * clock.job(job, job.cells(), {}).likely)
    return [known[job.task, job.llm is None] for job in jobs]
