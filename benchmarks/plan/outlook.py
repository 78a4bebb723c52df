"""What a plan costs on nodes: units by stage, node-hours, the longest path, how long some nodes take, the longest jobs.

The same facts for people and for machines: :func:`outlook` finds them, :func:`print_outlook` words them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, get_args

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.methods.method import MODEST
from benchmarks.plan.scheduling.simulate import simulate
from benchmarks.plan.scheduling.units import Costed, End, work_of
from benchmarks.plan.scheduling.work import Work, longest_first
from benchmarks.plan.spans import bytes_text, span_text
from benchmarks.plan.time_estimate import Span
from foundation.words import plural

LONGEST = 5
"""Jobs that are named."""
ENDS: tuple[End, ...] = get_args(End)
Hours = dict[str, float]
"""Of a span: low, likely, high."""


def outlook(units: Sequence[Costed], nodes: Sequence[int]) -> dict[str, Any]:
    """Facts of a plan, JSON-able; seconds are on one core.

    Parameters
    ----------
    units : sequence of Costed
    nodes : sequence of int
        How many nodes (of one core each) it might run on.

    Returns
    -------
    dict
        ``stages``: units, node-hours and GPUs of each; ``node_hours``; ``critical_path``: seconds, and its units;
        ``makespan``: for each number of nodes its seconds, the lower bound, and the share of time that nodes work;
        ``longest_jobs``.
    """
    works = {end: work_of(units, end) for end in ENDS}
    jobs: dict[str, Span] = {}
    for unit in units:
        jobs[unit.job] = jobs.get(unit.job, Span()) + unit.seconds
    names = list(jobs)
    longest = longest_first([jobs[name].likely for name in names])[:LONGEST]
    return {
        "stages": [_stage(stage, units) for stage in dict.fromkeys(unit.stage for unit in units)],
        "units": len(units),
        "node_hours": _hours(_sum(units)),
        "critical_path": {
            "seconds": {end: work.critical for end, work in works.items()},
            "units": [_named(units[place]) for place in _longest_path(works["likely"])],
        },
        "makespan": [_makespan(works, count) for count in dict.fromkeys(nodes)],
        "longest_jobs": [{"job": names[place], "node_hours": _hours(jobs[names[place]])} for place in longest],
    }


def print_outlook(facts: dict[str, Any], console: Console) -> None:
    """Print the facts of :func:`outlook` in 80 columns."""
    table = Table(title="What an executor starts", title_justify="left")
    table.add_column("stage")
    for name in ("units", "time on one core", "share", "each needs at most"):
        table.add_column(name, justify="right")
    total = facts["node_hours"]["likely"] or 1.0
    for stage in facts["stages"]:
        share = stage["node_hours"]["likely"] / total
        time = span_text(_span(stage["node_hours"], 3600))
        table.add_row(stage["stage"], str(stage["units"]), time, f"{share:.0%}", _needs(stage["resources"]))
    console.print(table)
    hours, path = facts["node_hours"], facts["critical_path"]
    console.print(
        f"Cost: {_short(hours['likely'])} node-hours ({_short(hours['low'])} to {_short(hours['high'])}) on nodes of "
        f"one core. Longest path: {span_text(Span(**path['seconds']))} ({', then '.join(path['units'])}).",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    table = Table(title="On several nodes, longest path first", title_justify="left")
    for name in ("nodes", "time", "at least", "at work"):
        table.add_column(name, justify="right")
    for row in facts["makespan"]:
        spans = [span_text(Span(**row[name])) for name in ("seconds", "bound")]
        table.add_row(f"{row['nodes']:,}", *spans, f"{row['at_work']:.0%}")
    console.print(table)
    longest = [f"{job['job']} {span_text(_span(job['node_hours'], 3600))}" for job in facts["longest_jobs"]]
    console.print(f"Longest jobs: {'; '.join(longest)}.", highlight=False, soft_wrap=True)


def _short(hours: float) -> str:
    """``137.1``; two digits of less than one, ``0.023``."""
    return f"{hours:,.1f}" if hours >= 1 else f"{hours:.2g}"


def _needs(resources: Mapping[str, Any]) -> str:
    """``1 core, 0.5 GPU``; memory and custom resources where they are asked for."""
    words = [plural(resources["cores"], "core")]
    words += [f"{resources['gpus']:g} GPU"] if resources["gpus"] else []
    words += [bytes_text(resources["memory"])] if resources["memory"] else []
    return ", ".join([*words, *(f"{amount:g} {name}" for name, amount in resources["custom"])])


def _stage(stage: str, units: Sequence[Costed]) -> dict[str, Any]:
    here = [unit for unit in units if unit.stage == stage]
    needs = MODEST
    for unit in here:
        needs = needs.both(unit.resources)
    return {"stage": stage, "units": len(here), "node_hours": _hours(_sum(here)), "resources": asdict(needs)}


def _makespan(works: Mapping[End, Work], nodes: int) -> dict[str, Any]:
    """By simulation without overhead or deaths, for each end of the estimates."""
    found = {end: simulate(work, nodes) for end, work in works.items()}
    likely = found["likely"].makespan
    return {
        "nodes": nodes,
        "seconds": {end: one.makespan for end, one in found.items()},
        "bound": {end: one.bound for end, one in found.items()},
        "at_work": works["likely"].total / (likely * nodes) if likely else 0.0,
    }


def _longest_path(work: Work) -> list[int]:
    """Places of the pieces of the longest path, in their order."""
    if not len(work.seconds):
        return []
    behind: list[list[int]] = [[] for _ in work.after]
    for place, before in enumerate(work.after):
        for other in before:
            behind[other].append(place)
    path = [int(np.argmax(work.rest))]
    while behind[path[-1]]:
        path.append(max(behind[path[-1]], key=lambda place: (work.rest[place], -place)))
    return path


def _named(unit: Costed) -> str:
    return f"{unit.job} {unit.name}"


def _sum(units: Sequence[Costed]) -> Span:
    return sum((unit.seconds for unit in units), Span())


def _hours(span: Span) -> Hours:
    return {end: getattr(span, end) / 3600 for end in ENDS}


def _span(hours: Hours, seconds: float) -> Span:
    return Span(**{end: value * seconds for end, value in hours.items()})
