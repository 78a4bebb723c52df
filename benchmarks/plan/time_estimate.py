"""How long jobs will take: from the clocks of earlier jobs, else from a small table of measured rates.

A job's ledger (``timing.json``) has an entry per tuned model (``tune utility``), per method (``method mixture``, with
all that was made for it on the way) and per method that is refitted on folds (``refit lightgbm``); their sum is what
training costs. Scoring is estimated apart.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

from benchmarks.methods.baselines import baseline_names
from benchmarks.methods.experts import network_rate
from benchmarks.methods.families import families
from benchmarks.methods.method import Rate, network_name
from benchmarks.methods.registry import all_methods
from benchmarks.plan.job import Job
from benchmarks.plan.part_shares import TIMING, recorded_seconds
from experts.roles import Role
from foundation.discovery import plugin_folders
from tasks.card import CardError
from tasks.registry import resolve, row_cap, task_name
from tasks.split import LARGE_TRAIN, SMALL

MACHINE = "one core of a 2-core cloud machine of 2026"
"""Where the built-in rates were measured."""

STEPS = 1500
"""Steps of training that the built-in rates of networks are for."""

FOLDER = re.compile(r"(?P<place>.+)_split\d+_[0-9a-f]{12}")


SCORE = Rate(0.2, 0.3)
"""Per cell: reasons of some rows, intervals, nulls, levels."""

OWN = Rate(1.0, 1.0, per_trial=True)
"""A method of the user's own."""

ROWS_POWER = 0.35
"""Time of fixed numbers of steps grows slowly with rows: measured between 500 and 24,000 training rows."""

SPREAD = {"same": 1.5, "other": 2.5, "rates": 3.0}
"""An estimate may be off by this factor either way: from the same task, from another one, from the built-in rates."""


@dataclass(frozen=True)
class Span:
    """Seconds: at least, probably, at most."""

    low: float = 0.0
    likely: float = 0.0
    high: float = 0.0

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def over(self, workers: float) -> Span:
        """The same work on several workers."""
        return Span(self.low / workers, self.likely / workers, self.high / workers)


@dataclass(frozen=True)
class Earlier:
    """Clocks of an earlier job, and with how much effort they ran."""

    folder: str
    place: str
    rows: float
    trials: int
    steps: int
    seconds: Mapping[str, float]


def earlier_jobs(outputs: Iterable[Path], unfinished: Mapping[str, Any]) -> list[Earlier]:
    """Clocks of all jobs in output folders; ``unfinished`` are the settings of a run that has not written its own."""
    return [job for output in outputs for job in _of_output(output, unfinished)]


def _of_output(output: Path, unfinished: Mapping[str, Any]) -> list[Earlier]:
    facts = output / "suite.json"
    suite = json.loads(facts.read_text(encoding="utf-8")) if facts.is_file() else unfinished
    if suite.get("rows_in_files"):
        return []  # its clocks tell nothing of runs in memory
    rows = {_slug(task_name_or(task)): rows_of(task, suite.get("protocol", "robust")) for task in suite["tasks"]}
    found = []
    for path in sorted(output.glob(f"jobs/*/{TIMING}")):
        match = FOLDER.fullmatch(path.parent.name)
        title = match["place"].removesuffix("_drop") if match else ""
        if match and title in rows:
            seconds = recorded_seconds(path)
            steps = int(suite.get("budget", {}).get("steps", STEPS))
            found.append(Earlier(path.parent.name, match["place"], rows[title], suite["trials"], steps, seconds))
    return found


def task_name_or(task: str) -> str:
    """Name of a task, as it stands where its card is gone."""
    try:
        return task_name(task)
    except CardError:
        return task


@cache
def rows_of(task: str, protocol: str = "robust") -> float:
    """Training rows of a task by its card and the protocol; those of an unknown one are taken to be 10,000."""
    try:
        rows, cap = resolve(task).card.rows, row_cap(task)
    except CardError:
        return 10_000.0
    used = rows if cap is None else min(rows, cap)
    return float(LARGE_TRAIN) if protocol == "large_test" and used > SMALL else used / 2


def _slug(title: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", title)


class Clock:
    """Estimates the parts of jobs."""

    def __init__(self, earlier: Sequence[Earlier]) -> None:
        self.used: set[str] = set()
        self.guessed = 0
        self._parts: dict[tuple[Any, ...], Span] = {}
        self._by_part: dict[str, list[Earlier]] = {}
        for job in earlier:
            for part in job.seconds:
                self._by_part.setdefault(part, []).append(job)

    def job(self, job: Job, pending: Sequence[tuple[str, int]], done: Mapping[str, float]) -> Span:
        """Seconds for the pending cells of a job; ``done`` is its own ledger: networks there are tuned already."""
        methods = list(dict.fromkeys(method for method, _ in pending))
        parts = [*networks_of(job, methods), *(f"method {method}" for method in methods)]
        parts += [f"refit {method}" for method in methods if refitted(method)]
        total = Span()
        for part in dict.fromkeys(parts):
            if not (part.startswith("tune ") and part in done):
                total += self.part(part, job)
        rows = rows_of(job.task, job.protocol)
        score = SCORE.seconds(rows, 1) * len(pending)
        return total + Span(score / SPREAD["rates"], score, score * SPREAD["rates"])

    def part(self, part: str, job: Job) -> Span:
        """Seconds of one part of a job, by the name that it has in ledgers."""
        like = part, job.task, job.use_sensitive, job.trials, job.seeds, job.method_seconds, _steps(job)
        if like not in self._parts:  # splits of a task take as long as each other
            self._parts[like] = self._part(part, job)
        return self._parts[like]

    def _part(self, part: str, job: Job) -> Span:
        place = job.name.rsplit("_split", 1)[0]
        known = self._by_part.get(part, [])
        same = [e for e in known if e.place == place]
        if known:
            self.used |= {e.folder for e in (same or known)}
            likely = statistics.median(_scaled(e, part, job) for e in (same or known))
            factor = SPREAD["same" if same else "other"]
        else:
            self.guessed += 1
            likely, factor = _built_in(part, job), SPREAD["rates"]
        high = likely * factor
        if part.startswith(("method ", "refit ")) and job.method_seconds is not None:
            high = min(high, job.method_seconds * job.seeds)
        return Span(min(likely / factor, high), min(likely, high), high)


def refitted(method: str) -> bool:
    """Whether a method's chosen configuration is fitted again on folds: trials of a study, and baselines on tables."""
    return _refitted(plugin_folders(), method)


@cache
def _refitted(_plugins: tuple[Path, ...], method: str) -> bool:
    known = all_methods().get(method)
    if known is None:
        return True
    never = known.text or known.edges or known.scores_decisions
    return not never and (known.tuned or is_baseline(method))


def is_baseline(method: str) -> bool:
    """Whether a method is a baseline; asked for every part of every job."""
    return method in _baselines(plugin_folders())


@cache
def _baselines(_plugins: tuple[Path, ...]) -> frozenset[str]:
    """Once per process and plug-in folders: their files are listed for it."""
    return frozenset(baseline_names())


def networks_of(job: Job, methods: Sequence[str]) -> list[str]:
    """Ledger entries of the networks that methods need."""
    return [f"tune {network_name(*network)}" for network in job.networks_of(methods)]


def _scaled(earlier: Earlier, part: str, job: Job) -> float:
    """Seconds of an earlier job's part at this job's rows, trials and steps."""
    effort = 1.0
    if part.startswith("tune "):
        effort = job.trials / earlier.trials * _steps(job) / earlier.steps
    elif is_baseline(part.removeprefix("method ")):  # a refit has as many fits as there are folds
        effort = job.trials / earlier.trials
    seconds: float = earlier.seconds[part] * effort * (rows_of(job.task, job.protocol) / earlier.rows) ** ROWS_POWER
    return seconds


def _built_in(part: str, job: Job) -> float:
    rows, (what, _, name) = rows_of(job.task, job.protocol), part.partition(" ")
    if what == "tune":
        return _network_rates()[name].seconds(rows, job.trials) * _steps(job) / STEPS
    method = all_methods().get(name)
    rate = OWN if method is None else method.rate
    if what == "refit":
        return rate.seconds(rows, 1) * job.bag_folds
    if method is not None and method.tuned:
        return 0.0  # tuned already: that is the network's own entry
    return rate.seconds(rows, job.trials) * (1 if rate.per_trial else job.seeds)


def _network_rates() -> dict[str, Rate]:
    """By name of a tuned network."""
    roles = get_args(Role)
    return {network_name(role, f.name): network_rate(f) for f in families().values() for role in roles}


def _steps(job: Job) -> int:
    return int(dict(job.budget).get("steps", STEPS))
