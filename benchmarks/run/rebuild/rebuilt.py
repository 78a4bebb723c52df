"""Models of a cell made again by the recipe that made them, from what its job left."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmarks.methods.registry import text_methods
from benchmarks.plan.job import Job
from benchmarks.plan.part_shares import TIMING
from benchmarks.run.compute import makers, task_of
from benchmarks.run.levels import OutOfFold
from benchmarks.run.rebuild.changes import changes_of_all, changes_since
from benchmarks.run.rebuild.error import RebuildError
from benchmarks.run.rebuild.handle import CellHandle
from benchmarks.run.rebuild.refit import RefitExperts, refit_view
from benchmarks.run.stages.baselines import Baselines
from benchmarks.run.stages.maker import Maker
from benchmarks.run.stages.tabular import TabularSystem
from benchmarks.run.stages.tuned_experts import BAGS, TunedExperts
from benchmarks.run.telling.ledger import Ledger
from benchmarks.run.telling.notify import Notify
from experts.expert import Expert
from foundation.seeding import derive_seed
from tasks.task import Task, TaskView

if TYPE_CHECKING:
    from moe.decision import DecisionProblem

SAME = 1e-6
"""Largest difference of a probability that is no difference."""

KEPT = ("tune", "baselines", "llm")
"""Folders of a job that its models are made from."""


def silent(job: str, stage: str, share: float) -> None:
    """Tell nobody how far the work is."""


@dataclass(eq=False)
class Rebuilt:
    """A method of a finished run, its models made when they are asked for.

    Attributes
    ----------
    handle : CellHandle
    task : Task
        With labels of test rows: for verification and for scores after a choice, never to choose.
    view : TaskView
        The same without them; of a refit, all rows dealt into training and validation rows.
    method : str
    changes : list of str
        What has changed since the cell was computed; empty if nothing.
    refit : bool
        Whether the models are fitted on all rows (:mod:`benchmarks.run.rebuild.refit`).
    notify : callable
        Called with (job, stage, share) when a longer piece of work starts.
    """

    handle: CellHandle
    task: Task
    view: TaskView
    method: str
    changes: list[str]
    refit: bool
    notify: Notify
    _maker: Maker = field(repr=False)
    _workplace: Path = field(repr=False)
    _trials: dict[int, Expert] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        weakref.finalize(self, shutil.rmtree, self._workplace, ignore_errors=True)

    def expert(self, trial: int | None = None) -> Expert:
        """The fitted model of the method, or of one of its trained configurations.

        Parameters
        ----------
        trial : int, optional
            Number in the study, as in the tables "levels" and "trials"; None: the chosen model.

        Raises
        ------
        experts.tuning.trials.UnknownTrialError
            If there is no such trial, it failed, or the method keeps its chosen model alone.
        """
        if trial is None:
            return self._chosen
        if trial not in self._trials:
            self._say(f"{self.method}, trial {trial}")
            self._trials[trial] = self._maker.trial(self.method, trial)
        return self._trials[trial]

    @cached_property
    def _chosen(self) -> Expert:
        self._say(self.method)
        return self._maker.method(self.method)

    @cached_property
    def _out_of_fold(self) -> OutOfFold | None:
        self._say(f"{self.method} on folds")
        return self._maker.out_of_fold(self.method, self._chosen)

    def bag(self) -> Expert | None:
        """The mean of the chosen configuration's models on folds; None for a method that is not refitted on folds."""
        return None if self._out_of_fold is None else self._out_of_fold.expert

    @property
    def bag_margins(self) -> Tensor | None:
        """[n] float32 margins of training rows, then validation rows, each by the fold model that has not seen it."""
        return None if self._out_of_fold is None else self._out_of_fold.margins

    def members(self) -> list[Expert]:
        """The models that the method's decisions share out among, in the order of their shares; [] without any.

        The first ones are those of :meth:`problem`; those behind them are asked for by decisions with a bound on
        reasons alone.
        """
        self._say(f"members of {self.method}")
        return self._maker.members(self.method)

    def problem(self) -> DecisionProblem | None:
        """What the method's decision layer is fitted on; None for a method without one."""
        return self._maker.decided(self.method)

    def verify(self, tolerance: float = SAME) -> float:
        """Compare the chosen model on test rows with the predictions that the cell stored.

        Parameters
        ----------
        tolerance : float
            Largest difference of a probability that is allowed.

        Returns
        -------
        float
            The largest difference that was found.

        Raises
        ------
        RebuildError
            If the predictions differ, or the models are refitted ones, of which nothing is stored.
        """
        if self.refit:
            raise RebuildError(
                f"{self.method} was refitted on all rows of {self.task.name}: the run has stored nothing to compare it "
                "with. Verify the model that is not refitted, then refit."
            )
        stored = self.handle.predictions()
        stored = stored[stored["part"] == "test"]
        rows = self.view.split.test
        if stored["row"].tolist() != self.view.rows[rows].tolist():
            raise RebuildError(
                f"The test rows of {self.task.name} are no longer those that {self.handle.key} was scored on: the data "
                "have changed. Run the same bench command again."
            )
        said = torch.sigmoid(self.expert().logits(self.view, rows).detach()).double()
        difference = (said - torch.tensor(stored["probability"].to_numpy(), dtype=torch.float64)).abs()
        largest = float(difference.max())
        if not largest <= tolerance:
            raise RebuildError(self._differs(int((difference > tolerance).sum()), len(rows), largest))
        return largest

    def _differs(self, count: int, rows: int, largest: float) -> str:
        why = f"Changed since: {'; '.join(self.changes)}. " if self.changes else ""
        return (
            f"{self.method} on {self.task.name}, split {self.view.split.index}, made again does not say what is "
            f"stored: {count} of {rows} test rows differ, by up to {largest:.2g}. {why}"
            "Run the same bench command again with this version, then choose from that."
        )

    def _say(self, stage: str) -> None:
        self.notify(self.handle.job.name, stage, 0.0)


def rebuild(
    handle: CellHandle, *, refit: bool = False, allow_changed_code: bool = False, notify: Notify = silent
) -> Rebuilt:
    """Make the models of a cell again, by the recipe that made them.

    Studies and their weights are read from the run; what a run does not keep (bags, gates, baselines) is fitted again
    with the seeds that it had, which gives the same numbers. The run's own files are only read.

    Parameters
    ----------
    handle : CellHandle
    refit : bool
        Fit the same configurations on all rows, test rows among them: see :mod:`benchmarks.run.rebuild.refit`.
    allow_changed_code : bool
        Go on where code, libraries or data have changed since the run; :meth:`Rebuilt.verify` is the judge then.
    notify : callable, optional
        Called with (job, stage, share) when a longer piece of work starts.

    Raises
    ------
    RebuildError
        If something has changed and that is not allowed.
    """
    changes = changes_since(handle)
    if changes and not allow_changed_code:
        raise _changed(f"{handle.method} of the run {handle.run}", changes)
    job, method = handle.job, handle.method
    notify(job.name, "load", 0.0)
    task, home = task_of(job, [method]), _workplace(handle)
    try:
        view = task.view()
        if refit:
            view = refit_view(task, derive_seed(job.seed_of(0), "refit"))
            maker = _refit_maker(job, task, view, home, method, notify)
        else:
            maker = _maker(job, view, home, method, notify)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    return Rebuilt(handle, task, view, method, changes, refit, notify, maker, home)


def check_unchanged(handle: CellHandle) -> None:
    """Refuse a run whose models nobody could make again for sure, before any work.

    Raises
    ------
    RebuildError
        If fairmoe's code, a library or the data of the cell's task are no longer what they were.
    """
    changes = changes_of_all(handle)
    if changes:
        raise _changed(f"A model of the run {handle.run}", changes)


def _changed(what: str, changes: list[str]) -> RebuildError:
    return RebuildError(
        f"{what} cannot be made again for sure, because these have changed since: {'; '.join(changes)}. Run the same "
        "bench command again with this version, which computes what has changed anew; or give --allow-changed-code "
        "(in Python allow_changed_code=True), and the model is taken only if it says what is stored."
    )


def _workplace(handle: CellHandle) -> Path:
    """A copy of what the job's models are made from: studies are opened for writing, and bags need a place."""
    place = Path(tempfile.mkdtemp(prefix="fairmoe_rebuild_"))
    for name in KEPT:
        if (handle.home / name).is_dir():
            shutil.copytree(handle.home / name, place / name, ignore=shutil.ignore_patterns(BAGS, "*.lock"))
    record = handle.home / "baselines" / f"{handle.method}_{handle.key}.json"
    now = place / "baselines" / f"{handle.method}_{handle.job.cell_key(handle.method, 0)}.json"
    if record.is_file() and not now.exists():  # libraries have changed, and with them the cell's key
        shutil.copyfile(record, now)
    return place


def _maker(job: Job, view: TaskView, home: Path, method: str, notify: Notify) -> Maker:
    """The half of the job that makes the method."""
    ledger = Ledger(home / TIMING)
    system = _system(TunedExperts(job, view, home / "tune", ledger, notify), home)
    halves = makers(job, system, [method], home, notify)
    return halves[-1][0] if method in text_methods() else halves[0][0]


def _refit_maker(job: Job, task: Task, view: TaskView, home: Path, method: str, notify: Notify) -> Maker:
    """The half of the job that makes the method on all rows."""
    if method in text_methods():
        raise RebuildError(
            f"{method} cannot be refitted: text experts are tuned and calibrated on the parts that the run had. Save "
            "the model as it was scored, without refit."
        )
    ledger = Ledger(home / TIMING)
    scored = TunedExperts(job, task.view(), home / "tune", ledger, notify)
    return _system(RefitExperts(scored, view, home / "refit"), home)


def _system(tuned: TunedExperts, home: Path) -> TabularSystem:
    baselines = Baselines(tuned.job, tuned.view, home / "baselines", tuned, tuned.notify, from_records=True)
    return TabularSystem(tuned.job, tuned.view, tuned, baselines, 0, tuned.ledger)
