"""The staged harness on one job: tune → gate → fine-tune → score.

Stages are pure functions of task, settings and seed, so an interrupted stage is simply run again; the long one,
tuning, also keeps its finished batches of trials. What is finished for good is a *cell*: a folder that appears
whole, by a rename, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.methods.registry import text_methods
from benchmarks.plan.job import SUMMARISED, Job
from benchmarks.plan.part_shares import TIMING, PartShares, expected_parts
from benchmarks.run.deaths import UnderWay
from benchmarks.run.failure import Failure
from benchmarks.run.scoring import recorded, write_cells
from benchmarks.run.stages.baselines import Baselines
from benchmarks.run.stages.maker import Maker
from benchmarks.run.stages.tabular import TabularSystem
from benchmarks.run.stages.tuned_experts import TunedExperts
from benchmarks.run.telling.ledger import Ledger
from benchmarks.run.telling.notify import SAME, Notify, PartsNotify
from benchmarks.run.time_limit import time_limit
from experts.expert import Expert
from foundation.files import write_json
from tasks.load import load_task
from tasks.task import Task, TaskView


def run_job(job: Job, folder: Path, notify: Notify) -> list[Failure]:
    """Compute the job's missing cells; a method that fails does not stop the others.

    Parameters
    ----------
    job : Job
    folder : Path
        The job gets a sub-folder here: ``tune/`` with trials and weights, ``cells/<key>/`` for finished cells.
    notify : callable
        Called with (job name, stage, share done).

    Returns
    -------
    list of Failure
        Cells that are still missing. What all methods stand on (data) raises instead; an expert that cannot be tuned
        fails the methods that stand on it.
    """
    home = folder / job.folder
    pending = job.unfinished(folder)
    if not pending:
        return []
    expected = expected_parts(home, whole=len(pending) == len(job.cells()))
    told = PartsNotify(job.name, notify, PartShares(expected))
    told(job.name, "load", 0.0)
    wanted = [method for method, _ in pending]
    ready = made_ready(job, wanted, home, Ledger(home / TIMING, told), told)
    networks = job.studies_of(wanted)
    ready.tuned.plan(networks)
    if set(SUMMARISED) <= set(networks):
        ready.summarise()
    failures = compute_cells(ready, pending, folder, told)
    if not failures:
        ready.tuned.forget_bags()
    return failures


@dataclass(frozen=True)
class Ready:
    """What all stages of a job stand on."""

    job: Job
    task: Task
    view: TaskView
    home: Path
    ledger: Ledger
    tuned: TunedExperts
    baselines: Baselines

    def summarise(self) -> None:
        """Write the summary of the tabular roles, if all could be tuned."""
        if all(map(self.tuned.has, SUMMARISED)):
            self.tuned.summarise()


def made_ready(job: Job, wanted: list[str], home: Path, ledger: Ledger, notify: PartsNotify) -> Ready:
    """Load a job's task for some methods; nothing is tuned yet."""
    task = task_of(job, wanted)
    write_json(home / "rows.json", {"used": len(task.rows), "left": dict(task.left)})
    view = task.view()
    tuned = TunedExperts(job, view, home / "tune", ledger, notify)
    return Ready(job, task, view, home, ledger, tuned, Baselines(job, view, home / "baselines", tuned, notify))


def compute_cells(ready: Ready, cells: list[tuple[str, int]], folder: Path, notify: PartsNotify) -> list[Failure]:
    """Compute cells; one that fails does not stop the others."""
    job, failures = ready.job, list[Failure]()
    for repeat in sorted({repeat for _, repeat in cells}):
        methods = [method for method, r in cells if r == repeat]
        system = TabularSystem(job, ready.view, ready.tuned, ready.baselines, repeat, ready.ledger)
        for maker, own in makers(job, system, methods, ready.home, notify):
            failures += _compute(job, ready.task, maker, repeat, own, folder, notify)
    return failures


def task_of(job: Job, methods: Iterable[str]) -> Task:
    """The task of a job, with edges where one of these methods needs them."""
    return load_task(
        job.task, protocol=job.protocol, split=job.split, seed=job.suite_seed, use_sensitive=job.use_sensitive,
        with_edges=job.needs_edges(methods),
    )  # fmt: skip


def makers(
    job: Job, system: TabularSystem, methods: list[str], home: Path, notify: Notify
) -> list[tuple[Maker, list[str]]]:
    """The halves of a job and what each makes; that of the texts stands on the tabular one."""
    text = text_methods()
    makers: list[tuple[Maker, list[str]]] = [(system, [m for m in methods if m not in text])]
    if job.llm is not None and any(method in text for method in methods):
        from benchmarks.run.stages.text import TextSystem  # heavy libraries: only where rows are read as text

        makers.append((TextSystem(job, job.llm, system, home / "llm", notify), [m for m in methods if m in text]))
    return makers


def _compute(
    job: Job, task: Task, maker: Maker, repeat: int, methods: list[str], folder: Path, notify: Notify
) -> list[Failure]:
    """Cells of one half in one repetition."""
    failures: list[Failure] = []
    experts: dict[str, Expert] = {}
    under_way = UnderWay(folder / job.folder)
    for method in methods:
        notify(job.name, method, SAME)
        with recorded(failures, method, repeat), under_way.noted(method, repeat), time_limit(job.method_seconds):
            experts[method] = maker.method(method)
    # Everything is chosen by now: only here are test rows looked at, once.
    return failures + write_cells(job, task, maker, repeat, experts, folder, notify)
