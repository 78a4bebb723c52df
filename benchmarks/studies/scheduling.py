"""A suite on up to 10,000 nodes, simulated from the stage times of a real run: makespan against its lower bound.

``python -m benchmarks.studies scheduling --clocks results/default``: the units of suite ``full`` with the seconds that
the clocks of that run foretell, started longest path first. Three conditions: as foretold; with the overhead of each
unit and the spread that equal parts of that run had; and with nodes that die. Prints a table, and writes a picture:
ratios are means over draws (and the largest of them), each to the lower bound of the seconds that were drawn.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.plan.scheduling.simulate import Conditions, Schedule, simulate
from benchmarks.plan.scheduling.spread import measured_spread
from benchmarks.plan.scheduling.work import Work
from foundation.files import write_text

NODES = (1, 10, 100, 1_000, 1_500, 10_000)
"""At 1,500 an equal share of suite ``full`` is as long as its longest path: what is hardest to schedule."""
Found = dict[int, list[list[Schedule]]]
"""Number of nodes → conditions → draws."""


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table, and write the picture."""
    asked = _arguments(argv)
    work, spread, degrees = recorded_work(asked.suite, asked.clocks)
    draws = range(asked.seed, asked.seed + asked.draws)
    conditions = (
        [Conditions()],
        [Conditions(asked.overhead, spread, seed=seed) for seed in draws],
        [Conditions(asked.overhead, spread, asked.lifetime * 3600, seed=seed) for seed in draws],
    )
    print(
        f"{asked.suite}: {len(work.seconds):,} units, {work.total / 3600:,.1f} node-hours, longest path "
        f"{work.critical:,.0f} s; spread of equal parts {spread:.2f} (log, {degrees} degrees of freedom)"
    )
    found = {n: [[simulate(work, n, draw) for draw in each] for each in conditions] for n in asked.nodes}
    for line in table(found):
        print(line, flush=True)
    if asked.picture is not None:
        write_text(asked.picture, picture(found))
        print(f"written: {asked.picture}")


def recorded_work(suite: str, clocks: Path) -> tuple[Work, float, int]:
    """Units of a suite by the clocks of a run, and the spread of that run's parts (:func:`measured_spread`)."""
    from benchmarks.plan.scheduling.units import costed, plan_units, work_of
    from benchmarks.plan.shard import suite_jobs
    from benchmarks.plan.suite import load_suite
    from benchmarks.plan.time_estimate import Clock, earlier_jobs
    from benchmarks.run.units import units_of

    settings = load_suite(suite)
    earlier = earlier_jobs([clocks], settings.facts)
    clock = Clock(earlier)
    units = plan_units(costed(job, units_of(job, job.cells()), clock, {}) for job in suite_jobs(settings))
    return work_of(units), *measured_spread((job.place, job.seconds) for job in earlier)


def table(found: Found) -> list[str]:
    """Lines of Markdown: a row per number of nodes."""
    lines = [
        "| nodes | makespan | lower bound | ratio | spread (largest) | deaths (largest) | died |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for nodes, ((plain,), spread, dying) in found.items():
        lines.append(
            f"| {nodes:,} | {_time(plain.makespan)} | {_time(plain.bound)} | {plain.ratio:.3f} | {_ratios(spread)} | "
            f"{_ratios(dying)} | {_mean(draw.deaths for draw in dying):.1f} |"
        )
    return lines


def picture(found: Found) -> str:
    """Makespan and lower bound of the same draws (means) against nodes."""
    from benchmarks.studies.parts.loglog import loglog

    curves = {}
    for name, place in (("as foretold", 0), ("spread and deaths", 2)):
        curves[name] = [(n, _mean(draw.makespan for draw in each[place]) / 3600) for n, each in found.items()]
        curves[f"no less, {name}"] = [
            (n, _mean(draw.bound for draw in each[place]) / 3600) for n, each in found.items()
        ]
    return loglog(curves, "Hours of suite full against the number of nodes, and their lower bound", "nodes", "hours")


def _ratios(draws: Sequence[Schedule]) -> str:
    """``1.002 (1.004)``: mean and largest."""
    ratios = [draw.ratio for draw in draws]
    return f"{_mean(ratios):.3f} ({max(ratios):.3f})"


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _time(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h" if seconds >= 3600 else f"{seconds:,.0f} s"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies scheduling", description=__doc__)
    parser.add_argument("--suite", default="full")
    parser.add_argument("--clocks", type=Path, default=Path("results/default"), help="output folder of a real run")
    parser.add_argument("--nodes", type=int, nargs="+", default=list(NODES))
    parser.add_argument("--overhead", type=float, default=0.05, help="seconds of each unit beyond its work")
    parser.add_argument("--lifetime", type=float, default=24.0, help="mean hours until a busy node dies")
    parser.add_argument("--seed", type=int, default=0, help="of the first draw")
    parser.add_argument("--draws", type=int, default=4, help="of spread and deaths, for each number of nodes")
    parser.add_argument("--picture", type=Path, help="an .svg to write")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
