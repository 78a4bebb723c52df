"""Units of a job: the parts that different nodes can compute, what each stands on and how long it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.methods.method import Network, network_name
from benchmarks.methods.registry import all_methods
from benchmarks.plan.job import FLOOR, Job
from benchmarks.plan.time_estimate import SCORE, SPREAD, Clock, Span, is_baseline, refitted, rows_of

TUNE, FIT, CELLS, TEXT = STAGES = ("tune", "fit", "cells", "text")
"""Tuning of one network; a baseline or own method; what stands on them in one seed, with scores; its text half."""


@dataclass(frozen=True)
class Unit:
    """A part of a job.

    Attributes
    ----------
    job : str
    stage : str
        One of ``STAGES``.
    name : str
        What it makes: a network, a method, a seed.
    seconds : Span
        On one core.
    after : tuple of int
        Places in the list of units of those that must be finished before.
    gpus : float
        Of its node; all units take one core.
    """

    job: str
    stage: str
    name: str
    seconds: Span
    after: tuple[int, ...] = ()
    gpus: float = 0.0


def job_units(job: Job, pending: Sequence[tuple[str, int]], clock: Clock, done: Mapping[str, float]) -> list[Unit]:
    """Units of the pending cells of a job, each behind those that it stands on.

    Their seconds add up to what :meth:`Clock.job` says of the job.

    Parameters
    ----------
    job : Job
    pending : sequence of (method, repetition)
    clock : Clock
    done : mapping
        Its own ledger: networks there are tuned already.
    """
    methods = list(dict.fromkeys(method for method, _ in pending))
    found: list[Unit] = []
    tuned: dict[str, int] = {}
    for network in job.networks_of(methods):
        name = network_name(*network)
        if f"tune {name}" not in done:
            tuned[name] = len(found)
            found.append(Unit(job.name, TUNE, name, clock.part(f"tune {name}", job), _floor(network, tuned)))
    alone = [method for method in methods if _is_alone(method)]
    fitted = {method: len(found) + place for place, method in enumerate(alone)}
    floor = _places([network_name(*FLOOR)], tuned)
    found += [Unit(job.name, FIT, method, _own(method, job, clock), floor) for method in alone]
    for repeat in sorted({repeat for _, repeat in pending}):
        found += _of_seed(job, pending, repeat, clock, tuned, fitted, len(found))
    return found


def _of_seed(
    job: Job, pending: Sequence[tuple[str, int]], repeat: int, clock: Clock, tuned: Mapping[str, int],
    fitted: Mapping[str, int], first: int,
) -> list[Unit]:  # fmt: skip
    """The cells of one seed: the tabular half, then that of the texts, which stands on it."""
    known = all_methods()
    here = [method for method, r in pending if r == repeat]
    text = [method for method in here if method in known and known[method].text]
    rows = rows_of(job.task, job.protocol)
    found: list[Unit] = []
    for stage, own in ((CELLS, [m for m in here if m not in text]), (TEXT, text)):
        if not own:
            continue
        score = SCORE.seconds(rows, 1) * len(own)
        seconds = Span(score / SPREAD["rates"], score, score * SPREAD["rates"])
        for method in own:
            if method not in fitted:
                share = 1 / len({r for m, r in pending if m == method})
                seconds += scaled(_own(method, job, clock), share)
        networks = [network_name(*network) for network in job.networks_of(own)]
        after = (*_places(networks, tuned), *_places(own, fitted), *((first + len(found) - 1,) if found else ()))
        device = job.llm is not None and job.llm.device != "cpu" and stage == TEXT
        found.append(Unit(job.name, stage, f"seed {repeat}", seconds, after, float(device)))
    return found


def plan_units(jobs: Iterable[list[Unit]]) -> list[Unit]:
    """Units of several jobs in one list."""
    found: list[Unit] = []
    for units in jobs:
        first = len(found)
        found += [replace(unit, after=tuple(first + place for place in unit.after)) for unit in units]
    return found


def scaled(span: Span, share: float) -> Span:
    """A share of some seconds."""
    return Span(span.low * share, span.likely * share, span.high * share)


def _own(method: str, job: Job, clock: Clock) -> Span:
    """A method with its refit on folds, for all its seeds."""
    parts = [f"method {method}", *([f"refit {method}"] if refitted(method) else [])]
    return sum((clock.part(part, job) for part in parts), Span())


def _is_alone(method: str) -> bool:
    """Whether nothing of the job's seeds is shared with it: baselines and own methods."""
    return method not in all_methods() or is_baseline(method)


def _floor(network: Network, tuned: Mapping[str, int]) -> tuple[int, ...]:
    """Fair roles are chosen under the floor that the utility network sets."""
    return () if network[0] == "utility" else _places([network_name(*FLOOR)], tuned)


def _places(names: Iterable[str], known: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(known[name] for name in names if name in known)
