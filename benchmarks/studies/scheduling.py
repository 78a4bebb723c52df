"""A suite on up to 10,000 nodes, simulated from the stage times of a real run: makespan against its lower bound.

``python -m benchmarks.studies scheduling --clocks results/default``: the units of suite ``full`` with the seconds that
the clocks of that run foretell, started longest path first. Three conditions: as foretold; with the overhead of each
unit and the spread that equal parts of that run had; and with nodes that die. Prints a table, and writes a picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.plan.scheduling.simulate import Conditions, Schedule, simulate
from benchmarks.plan.scheduling.spread import measured_spread
from benchmarks.plan.scheduling.work import Work

NODES = (1, 2, 10, 100, 1_000, 10_000)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table, and write the picture."""
    asked = _arguments(argv)
    work, spread, degrees = recorded_work(asked.suite, asked.clocks)
    conditions = (
        Conditions(),
        Conditions(asked.overhead, spread, seed=asked.seed),
        Conditions(asked.overhead, spread, asked.lifetime * 3600, seed=asked.seed),
    )
    print(
        f"{asked.suite}: {len(work.seconds):,} units, {work.total / 3600:,.1f} node-hours, longest path "
        f"{work.critical:,.0f} s; spread of equal parts {spread:.2f} (log, {degrees} degrees of freedom)"
    )
    found = {nodes: [simulate(work, nodes, each) for each in conditions] for nodes in asked.nodes}
    for line in table(found):
        print(line, flush=True)
    if asked.picture is not None:
        asked.picture.write_text(picture(found), encoding="utf-8")
        print(f"written: {asked.picture}")


def recorded_work(suite: str, clocks: Path) -> tuple[Work, float, int]:
    """Units of a suite by the clocks of a run, and the spread of that run's parts (:func:`measured_spread`)."""
    from benchmarks.plan.scheduling.units import costed, plan_units
    from benchmarks.plan.shard import suite_jobs
    from benchmarks.plan.suite import load_suite
    from benchmarks.plan.time_estimate import Clock, earlier_jobs
    from benchmarks.run.units import units_of

    settings = load_suite(suite)
    earlier = earlier_jobs([clocks], settings.facts)
    clock = Clock(earlier)
    units = plan_units(costed(job, units_of(job, job.cells()), clock, {}) for job in suite_jobs(settings))
    work = Work(np.array([unit.seconds.likely for unit in units]), [unit.after for unit in units])
    return work, *measured_spread((job.place, job.seconds) for job in earlier)


def table(found: dict[int, list[Schedule]]) -> list[str]:
    """Lines of Markdown: a row per number of nodes."""
    lines = [
        "| nodes | makespan | lower bound | ratio | ratio with spread | ratio with deaths | deaths |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for nodes, (plain, spread, dying) in found.items():
        lines.append(
            f"| {nodes:,} | {_time(plain.makespan)} | {_time(plain.bound)} | {plain.ratio:.3f} | {spread.ratio:.3f} | "
            f"{dying.ratio:.3f} | {dying.deaths} |"
        )
    return lines


def picture(found: dict[int, list[Schedule]]) -> str:
    """Makespan and bound against nodes."""
    from benchmarks.studies.parts.loglog import loglog

    names = ("as foretold", "with spread", "with deaths")
    curves = {name: [(n, each[place].makespan / 3600) for n, each in found.items()] for place, name in enumerate(names)}
    curves["lower bound"] = [(nodes, each[0].bound / 3600) for nodes, each in found.items()]
    return loglog(curves, "Hours of suite full against the number of nodes, and their lower bound", "nodes", "hours")


def _time(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h" if seconds >= 3600 else f"{seconds:,.0f} s"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies scheduling", description=__doc__)
    parser.add_argument("--suite", default="full")
    parser.add_argument("--clocks", type=Path, default=Path("results/default"), help="output folder of a real run")
    parser.add_argument("--nodes", type=int, nargs="+", default=list(NODES))
    parser.add_argument("--overhead", type=float, default=0.05, help="seconds of each unit beyond its work")
    parser.add_argument("--lifetime", type=float, default=24.0, help="mean hours until a busy node dies")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, help="an .svg to write")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
