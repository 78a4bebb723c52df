"""How cost grows with rows, columns, groups, lanes and methods: CPU seconds of one job, in memory and from files.

    python -m benchmarks.studies growth --output results/growth
    python -m benchmarks.studies growth --output results/growth --picture growth.svg --numbers growth.json

One made table and one job at a time: load or store it, tune networks, score them on validation and test rows with
intervals, explain rows; tables and pages are not counted. One of the five sizes is varied, the others stay at their
base. Every run is repeated with other seeds (other splits, trials and weights). What ``--output`` holds already is not
measured again: delete a file to measure its point anew.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from foundation.files import write_json, write_text

METHODS = ("utility", "result", "procedural", "combined_mlp")
HARNESSES = ("in memory", "from files")
BUDGET = {"steps": 200, "eval_every": 50, "warm_up": 40, "rungs": (), "batch_rows": 1024}


@dataclass(frozen=True)
class Sizes:
    """What a job is made of."""

    rows: int = 16_000
    columns: int = 10
    groups: int = 2
    lanes: int = 6
    methods: int = 1


VARIED: Mapping[str, tuple[int, ...]] = {
    "rows": (4_000, 16_000, 64_000, 256_000), "columns": (5, 10, 20, 40, 80), "groups": (2, 4, 8, 16),
    "lanes": (3, 6, 12, 24, 48), "methods": (1, 2, 3, 4),
}  # fmt: skip
Costs = Mapping[str, Mapping[str, Mapping[float, list[float]]]]
"""Harness → what is varied → its size → CPU seconds of each repetition."""


def points() -> Iterator[tuple[str, int, Sizes]]:
    """What is varied, to which size, and all sizes of the job."""
    for name, sizes in VARIED.items():
        for size in sizes:
            yield name, size, replace(Sizes(), **{name: size})


def measure(sizes: Sizes, harness: str, seeds: Sequence[int]) -> list[float]:
    """CPU seconds of the job with each seed; nothing of one run is kept for the next."""
    from benchmarks.streaming.measured import made_table

    with tempfile.TemporaryDirectory() as name:
        words = sizes.columns * 2 // 5
        card = made_table(Path(name), sizes.rows, sizes.columns - words, words, groups=sizes.groups)
        return [_job_seconds(sizes, harness, str(card), seed, Path(name) / f"run {seed}") for seed in seeds]


def _job_seconds(sizes: Sizes, harness: str, card: str, seed: int, folder: Path) -> float:
    """CPU seconds of computing one job."""
    from benchmarks.plan.shard import suite_jobs
    from benchmarks.plan.suite import Suite
    from benchmarks.run.compute import run_job
    from benchmarks.run.telling.ledger import Ledger
    from benchmarks.streaming.job import StreamedJob

    suite = Suite(
        name="growth", tasks=(card,), splits=1, seed=seed, trials=sizes.lanes, batch=sizes.lanes,
        methods=METHODS[: sizes.methods], budget=BUDGET, rows_in_files=harness == "from files",
    )  # fmt: skip
    (job,) = suite_jobs(suite)
    os.environ["FAIRMOE_HOME"] = str(folder / "home")
    start = time.process_time()
    if suite.rows_in_files:
        failures = StreamedJob(job, folder, lambda *_: None, Ledger(folder / "timing.json")).run()
    else:
        failures = run_job(job, folder, lambda *_: None)
    took = time.process_time() - start
    if failures:
        raise RuntimeError(f"{failures[0].method} failed, so its cost is not known:\n{failures[0].error}")
    return took


def table(costs: Costs) -> list[str]:
    """Lines of Markdown: a row per varied size and harness, with exponents."""
    from benchmarks.studies.parts.growth_rates import exponent, last_exponent

    lines = [
        "| varied | sizes | harness | CPU s | exponent, all sizes | between the two largest |",
        "|---|---|---|---|---|---|",
    ]
    for name in VARIED:
        for harness in costs:
            found = costs[harness][name]
            sizes = ", ".join(f"{size:,.0f}" for size in found)
            seconds = ", ".join(f"{fmean(runs):.2f}" for runs in found.values())
            lines.append(f"| {name} | {sizes} | {harness} | {seconds} | {exponent(found)} | {last_exponent(found)} |")
    return lines


def picture(costs: Costs) -> str:
    """A diagram per varied size: mean CPU seconds of both harnesses."""
    from benchmarks.studies.parts.loglog import Panel, panels

    found = [
        Panel(
            {harness: [(size, fmean(runs)) for size, runs in costs[harness][name].items()] for harness in costs},
            name, "CPU seconds",
        )
        for name in VARIED
    ]  # fmt: skip
    return panels(
        found, "CPU seconds of a job against its rows, columns, groups, lanes and methods, on two logarithmic axes"
    )


def read_costs(path: Path) -> Costs:
    """Numbers that ``--numbers`` wrote, in the order of this study: keys of a file are sorted as words."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    return {
        harness: {name: {size: facts[harness][name][str(size)] for size in VARIED[name]} for name in VARIED}
        for harness in HARNESSES
    }


def main(argv: Sequence[str]) -> None:
    """Measure what is not there yet, print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.studies growth", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("results/growth"))
    parser.add_argument("--repeats", type=int, default=3, help="runs of every point, with seeds from 0")
    parser.add_argument("--picture", type=Path, help="an .svg to write")
    parser.add_argument("--numbers", type=Path, help="a .json of all seconds to write")
    asked = parser.parse_args(argv)
    costs = _all(asked.output, range(asked.repeats))
    for line in table(costs):
        print(line)
    if asked.picture:
        write_text(asked.picture, picture(costs))
    if asked.numbers:
        write_json(asked.numbers, costs)
    print(f"kept in {asked.output}; the same command measures only what is missing")


def _all(output: Path, seeds: Sequence[int]) -> Costs:
    from benchmarks.run.threads import limit_threads

    limit_threads()
    costs: dict[str, dict[str, dict[float, list[float]]]] = {h: {name: {} for name in VARIED} for h in HARNESSES}
    ready: set[str] = set()
    for name, size, sizes in points():
        for harness in HARNESSES:
            costs[harness][name][size] = _kept(sizes, harness, seeds, output, ready)
    return costs


def _kept(sizes: Sizes, harness: str, seeds: Sequence[int], output: Path, ready: set[str]) -> list[float]:
    """Seconds of a point, measured before or now; base sizes are one point of every diagram."""
    facts: dict[str, Any] = {"harness": harness, **asdict(sizes)}
    path = output / f"{'_'.join(str(value).replace(' ', '-') for value in facts.values())}.json"
    runs: list[float] = json.loads(path.read_text(encoding="utf-8"))["seconds"] if path.is_file() else []
    if len(runs) < len(seeds):
        if harness not in ready:
            measure(Sizes(rows=2_000), harness, [0])  # what is imported and compiled once is no part of a job
            ready.add(harness)
        runs += measure(sizes, harness, list(seeds)[len(runs) :])
        write_json(path, {**facts, "seconds": runs})
        print(
            f"{harness}, {', '.join(f'{v:,} {k}' for k, v in asdict(sizes).items())}: {fmean(runs):.2f} s", flush=True
        )
    return runs[: len(seeds)]
