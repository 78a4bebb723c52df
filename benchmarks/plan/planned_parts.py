"""Seconds of the parts of a job by the plan, for those that no finished job of the run has measured."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.plan.job import Job
from benchmarks.plan.part_shares import own_entry
from benchmarks.plan.time_estimate import SCORE, Clock, networks_of, refitted, rows_of


def tuning_parts(job: Job, methods: Sequence[str], clock: Clock | None = None) -> dict[str, float]:
    """Ledger entry -> seconds that the tuning of the networks of these methods should take."""
    clock = clock or Clock(())
    return {own_entry(name, None): clock.part(name, job).likely for name in networks_of(job, methods)}


def planned_parts(job: Job, pending: Sequence[tuple[str, int]], clock: Clock | None = None) -> dict[str, float]:
    """Ledger entry -> seconds of the missing cells; a method has all that is made on its way.

    Parameters
    ----------
    job : Job
    pending : sequence of (method, repetition)
    clock : Clock, optional
        What earlier runs took; default: the built-in rates.
    """
    clock, methods = clock or Clock(()), list(dict.fromkeys(method for method, _ in pending))
    parts = tuning_parts(job, methods, clock)
    for method, repeat in pending:
        parts[own_entry(f"method {method}", repeat)] = clock.part(f"method {method}", job).likely / job.seeds
        if refitted(method):
            parts[own_entry(f"refit {method}", repeat)] = clock.part(f"refit {method}", job).likely / job.seeds
        cell = SCORE.seconds(rows_of(job.task, job.protocol), 1)
        for name in ("explain", "score"):
            parts[own_entry(name, repeat)] = parts.get(own_entry(name, repeat), 0.0) + cell / 2
    return parts
