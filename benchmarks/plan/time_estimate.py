"""How long jobs will take: from the clocks of earlier jobs, else from a small table of measured rates.

A job's ledger (``timing.json``) has an entry per tuned network (``tune utility``) and per method (``method mixture``,
with all that was made for it on the way); their sum is what training costs. Scoring is not in the ledger.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.methods.baselines import BASELINES
from benchmarks.plan.job import Job
from benchmarks.plan.suite import GRAPH_METHODS, GRAPH_MIXTURES, LLM_METHODS, METHODS
from tasks.card import CardError
from tasks.registry import resolve, row_cap, task_name

MACHINE = "one core of a 2-core cloud machine of 2026"
"""Where the built-in rates were measured."""

STEPS = 1500
"""Steps of training that the built-in rates of networks are for."""

FOLDER = re.compile(r"(?P<place>.+)_split\d+_[0-9a-f]{12}")


@dataclass(frozen=True)
class Rate:
    """Measured reference seconds: ``fixed + slope · training rows / 10,000``, per trial where ``per_trial``."""

    fixed: float
    slope: float
    per_trial: bool = False

    def seconds(self, rows: float, trials: int) -> float:
        """Seconds at a number of training rows and trials."""
        return (self.fixed + self.slope * rows / 10_000) * (trials if self.per_trial else 1)


RATES = {
    "network": Rate(0.15, 0.10, per_trial=True),
    "graph": Rate(0.2, 0.3, per_trial=True),
    "mixture": Rate(1.5, 2.0),
    "twin": Rate(1.0, 0.8),
    "text": Rate(8.0, 30.0),
    "score": Rate(0.2, 0.6),
    "constant": Rate(0.0, 0.0),
    "logistic_regression": Rate(0.01, 0.01, per_trial=True),
    "reweighing": Rate(0.01, 0.01, per_trial=True),
    "correlation_remover": Rate(0.15, 0.02, per_trial=True),
    "threshold_optimizer": Rate(0.05, 0.15, per_trial=True),
    "lightgbm": Rate(0.02, 0.2, per_trial=True),
    "gradient_boosting": Rate(0.1, 0.25, per_trial=True),
    "grid_search": Rate(0.07, 0.06, per_trial=True),
    "exponentiated_gradient": Rate(0.45, 0.2, per_trial=True),
    "exponentiated_gradient_trees": Rate(0.45, 0.75, per_trial=True),
    "adversarial_mitigation": Rate(1.2, 0.2, per_trial=True),
}
"""By kind of part, or by baseline; ``score`` is per cell: reasons, intervals and nulls."""

OTHER = Rate(1.0, 1.0, per_trial=True)
"""Any other baseline, and own methods."""

TWINS = ("result_lambda0", "procedural_lambda0")
NETWORKS = {"utility": "utility", "result": "result", "procedural": "procedural", "combined_mlp": "combined"}
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
    rows = {_slug(task_name_or(task)): rows_of(task) for task in suite["tasks"]}
    found = []
    for path in sorted(output.glob("jobs/*/timing.json")):
        match = FOLDER.fullmatch(path.parent.name)
        title = match["place"].removesuffix("_drop") if match else ""
        if match and title in rows:
            seconds = json.loads(path.read_text(encoding="utf-8"))
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
def rows_of(task: str) -> float:
    """Training rows of a task by its card: half of them; those of an unknown one are taken to be 10,000."""
    try:
        rows, cap = resolve(task).card.rows, row_cap(task)
    except CardError:
        return 10_000.0
    return (rows if cap is None else min(rows, cap)) / 2


def _slug(title: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", title)


class Clock:
    """Estimates the parts of jobs."""

    def __init__(self, earlier: Sequence[Earlier]) -> None:
        self.used: set[str] = set()
        self.guessed = 0
        self._by_part: dict[str, list[Earlier]] = {}
        for job in earlier:
            for part in job.seconds:
                self._by_part.setdefault(part, []).append(job)

    def job(self, job: Job, pending: Sequence[tuple[str, int]], done: Mapping[str, float]) -> Span:
        """Seconds for the pending cells of a job; ``done`` is its own ledger: networks there are tuned already."""
        methods = list(dict.fromkeys(method for method, _ in pending))
        parts = [*networks_of(job, methods), *(f"method {method}" for method in methods)]
        total = Span()
        for part in dict.fromkeys(parts):
            if not (part.startswith("tune ") and part in done):
                total += self._part(part, job)
        rows = rows_of(job.task)
        score = RATES["score"].seconds(rows, 1) * len(pending)
        return total + Span(score / SPREAD["rates"], score, score * SPREAD["rates"])

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
        if part.startswith("method ") and job.method_seconds is not None:
            high = min(high, job.method_seconds * job.seeds)
        return Span(min(likely / factor, high), min(likely, high), high)


def networks_of(job: Job, methods: Sequence[str]) -> list[str]:
    """Ledger entries of the networks that methods need."""
    mixtures = [m for m in methods if m in METHODS and m not in NETWORKS and m not in TWINS]
    mixed = mixtures or any(m in GRAPH_MIXTURES or m in LLM_METHODS for m in methods)
    roles = ["utility"] if any(m in BASELINES or m in dict(job.own) for m in methods) else []
    roles += [NETWORKS[m] for m in methods if m in NETWORKS]
    roles += [m.removesuffix("_lambda0") for m in methods if m in TWINS]
    roles += ["utility", "result", "procedural"] if mixed else []
    graph = [m.removesuffix("_lambda0") for m in methods if m in GRAPH_METHODS and m not in GRAPH_MIXTURES]
    return [f"tune {name}" for name in dict.fromkeys([*roles, *graph])]


def _scaled(earlier: Earlier, part: str, job: Job) -> float:
    """Seconds of an earlier job's part at this job's rows, trials and steps."""
    effort = 1.0
    if part.startswith("tune "):
        effort = job.trials / earlier.trials * _steps(job) / earlier.steps
    elif part.removeprefix("method ") in BASELINES:
        effort = job.trials / earlier.trials
    seconds: float = earlier.seconds[part] * effort * (rows_of(job.task) / earlier.rows) ** ROWS_POWER
    return seconds


def _built_in(part: str, job: Job) -> float:
    rows, (what, _, name) = rows_of(job.task), part.partition(" ")
    if what == "tune":
        kind = "graph" if name.startswith(("gcn", "gin", "sage")) else "network"
        return RATES[kind].seconds(rows, job.trials) * _steps(job) / STEPS
    if name in NETWORKS or (name in GRAPH_METHODS and name not in GRAPH_MIXTURES and not name.endswith("_lambda0")):
        return 0.0  # tuned already: that is the network's own entry
    rate = _rate(name)
    return rate.seconds(rows, job.trials) * (1 if rate.per_trial else job.seeds)


def _rate(method: str) -> Rate:
    if method in LLM_METHODS:
        return RATES["text"]
    if method in METHODS or method in GRAPH_METHODS:
        return RATES["twin" if method.endswith("_lambda0") else "mixture"]
    return RATES.get(method, OTHER)


def _steps(job: Job) -> int:
    return int(dict(job.budget).get("steps", STEPS))
