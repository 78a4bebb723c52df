"""A discovery from its first step to its package: what is done already is kept, what changed is done again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.discovering.context import BaseOnDemand, Context, domains_of
from benchmarks.discovering.deadline import Deadline
from benchmarks.discovering.error import BudgetEndedError, DiscoverError
from benchmarks.discovering.settings import DiscoverySettings
from benchmarks.discovering.sizing.course import Course
from benchmarks.discovering.sizing.sizes import Planned, plan_sizes, too_long
from benchmarks.discovering.state import StepFolder, read_record, result_hash, write_record
from benchmarks.discovering.step import Step
from benchmarks.discovering.steps.registry import STEPS
from foundation.folder_lock import folder_lock
from foundation.hashing import hash_json

if TYPE_CHECKING:
    from benchmarks.discovering.sizing.calibrating import Looked
    from llm_experts.bases.base import Base
    from llm_experts.discovery.measuring.domain import Domain

MATRICES = ("svf",)
"""Kinds of adapters that are made of the singular values of matrices."""
DONE, RUNNING, WAITING = "done", "running", "waiting"
CODE = ("foundation", "llm_experts", "benchmarks/discovering")
"""Rooms whose code decides the numbers; a change is told, and does nothing by itself."""


class Watcher(Protocol):
    """Who is told how far a discovery is."""

    def note(self, text: str) -> None:
        """Something that people should know."""

    def begin(self, step: Step, number: int, count: int) -> None:
        """A step begins."""

    def progress(self, done: int, total: int) -> None:
        """So much of it is done."""

    def end(self, step: Step, result: Mapping[str, Any], was_there: bool) -> None:
        """A step has its result, which may have been there."""


class Silent:
    """A watcher that says nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def begin(self, step: Step, number: int, count: int) -> None:
        """Nothing."""

    def progress(self, done: int, total: int) -> None:
        """Nothing."""

    def end(self, step: Step, result: Mapping[str, Any], was_there: bool) -> None:
        """Nothing."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A discovery that is asked for.

    Attributes
    ----------
    settings : DiscoverySettings
    folder : Path
    minutes : float or None
        Budget of time.
    again : str
        Name of the step from which all is done again; "" none.
    load : callable
        Gives the base.
    identity : mapping
        What decides the base's numbers: id, hash, dtype, quantisation, device.
    files : mapping of str to str
        Hashes of files that settings name.
    clock : callable
        Seconds by which the budget counts.
    begun : float or None
        What the clock said when the command began, whose start takes time too; None: it begins with the run.
    """

    settings: DiscoverySettings
    folder: Path
    minutes: float | None = None
    again: str = ""
    load: Callable[[], Base]
    identity: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    begun: float | None = None

    @property
    def deadline(self) -> Deadline:
        """When the budget is over."""
        return Deadline(None if self.minutes is None else 60 * self.minutes, self.clock, self.begun)


@dataclass(frozen=True)
class Discovered:
    """What a discovery came to.

    Attributes
    ----------
    folder : Path
    settings : DiscoverySettings
        With the sizes that were planned.
    results : mapping of step name to result
    on_demand : BaseOnDemand
    """

    folder: Path
    settings: DiscoverySettings
    results: Mapping[str, Mapping[str, Any]]
    on_demand: BaseOnDemand

    @property
    def domains(self) -> Sequence[Domain]:
        """Its domains, in order."""
        return domains_of(self.settings)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of every step, also those of earlier runs that it was done by."""
        return {name: float(result.get("seconds") or 0) for name, result in self.results.items()}


def discover(asked: Asked, watcher: Watcher | None = None, steps: Sequence[Step] = STEPS) -> Discovered:
    """Do all steps that are not done; the same settings end with the same results, however often it was ended.

    Raises
    ------
    FolderLockError
        If another process works in the folder.
    DiscoverError
        If a file of the folder is damaged, or the step to begin with is none.
    BudgetEndedError
        If the time is over; what was finished is kept.
    """
    with folder_lock(asked.folder, "fairmoe discover"):
        return _Run(asked, watcher or Silent(), steps).all()


class _Run:
    """State of one call."""

    def __init__(self, asked: Asked, watcher: Watcher, steps: Sequence[Step]) -> None:
        self.asked, self.watcher, self.steps = asked, watcher, steps
        self.on_demand = on_demand_of(asked)
        self.deadline = asked.deadline
        self.record = read_record(asked.folder)
        self.results: dict[str, Mapping[str, Any]] = {}
        self.again = False
        self._redo()
        self.code = _code_hash()
        self._tell_of_code()
        self.course = self._course()
        self.settings = asked.settings

    def all(self) -> Discovered:
        """Every step in order."""
        inputs: dict[str, str] = {}
        for number, step in enumerate(self.steps, 1):
            self.settings = self.course.settings(step.name)
            inputs[step.name] = self._inputs(step)
            self.watcher.begin(step, number, len(self.steps))
            self.results[step.name] = self._step(step, inputs)
            self._write(inputs)
        return Discovered(self.asked.folder, self.settings, self.results, self.on_demand)

    def _step(self, step: Step, inputs: Mapping[str, str]) -> Mapping[str, Any]:
        folder = StepFolder(self.asked.folder / step.name)
        found = folder.result(inputs[step.name])
        if found is not None:
            self.watcher.end(step, found, was_there=True)
            return found
        if folder.begin(inputs[step.name]) and not self.again:
            self.again = True
            self.watcher.note(f"From {step.label} on steps are done again: what they are made of has changed.")
        self._write(inputs, running=step.name)
        context = self._context(folder.path)
        with self._ended_by_budget(step):
            self.deadline.check()
            start = self.asked.clock()
            result = step.do(context)
            spent = result.pop("seconds_before", 0.0) + self.asked.clock() - start
        for text in context.notes:
            self.watcher.note(text)
        done = folder.end(inputs[step.name], {**result, "seconds": round(spent, 3)})
        self.watcher.end(step, done, was_there=False)
        self.course.used(step.name, self.asked.clock() - start)
        if said := self.course.plan_again(self.deadline.left):
            self.watcher.note(said)
        return done

    def _context(self, folder: Path) -> Context:
        return Context(
            root=self.asked.folder, folder=folder, settings=self.settings, on_demand=self.on_demand,
            results=dict(self.results), deadline=self.deadline, progress=self.watcher.progress,
        )  # fmt: skip

    @contextmanager
    def _ended_by_budget(self, step: Step) -> Iterator[None]:
        try:
            yield
        except BudgetEndedError as error:
            at = [one.name for one in self.steps].index(step.name)
            missing = ", ".join(one.label for one in self.steps[at:])
            raise BudgetEndedError(
                f"{error} What was finished lies in {self.asked.folder}; missing: {missing}. The same command goes on "
                "where it ended, with its budget again."
            ) from error

    def _inputs(self, step: Step) -> str:
        """Hash of what decides a step's result: settings, base, and the result of the step before, thus of all."""
        settings = self.settings.model_dump(mode="json")
        before = list(self.results.values())[-1:]
        return hash_json(
            {
                "step": step.name,
                "settings": {name: settings[name] for name in step.settings},
                "seed": self.settings.seed,
                "base": {name: value for name, value in self.asked.identity.items() if name != "id"},
                "files": {name: self.asked.files[name] for name in step.settings if name in self.asked.files},
                "before": [[result["inputs_hash"], result_hash(result)] for result in before],
            }
        )

    def _redo(self) -> None:
        names = [step.name for step in self.steps]
        if not self.asked.again:
            return
        found = [name for name in names if self.asked.again in (name, name.partition("_")[0], name.partition("_")[2])]
        if not found:
            raise DiscoverError(f"There is no step {self.asked.again[:60]!a} to begin with; steps are "
                                f"{', '.join(names)}.")  # fmt: skip
        for name in names[names.index(found[0]) :]:
            StepFolder(self.asked.folder / name).remove()

    def _tell_of_code(self) -> None:
        before = self.record.get("code")
        if before not in (None, self.code):
            self.watcher.note(
                "The code has changed since this discovery began: steps that are done are kept as they were. --from 1 "
                "does all of them again."
            )

    def _course(self) -> Course:
        """Sizes that were planned when this discovery began, or are planned now."""
        asked, domains = self.asked, len(domains_of(self.asked.settings))
        before = self.record.get("planned")
        same = self.record.get("settings_hash") == hash_json(asked.settings.model_dump(mode="json"))
        if before and same and self._began():
            return Course.of_record(asked.settings, domains, asked.minutes, before)
        if asked.minutes is None:
            return Course(asked.settings, domains)
        try:
            found, looked = planned(asked, self.on_demand)
        except BudgetEndedError as error:
            raise BudgetEndedError(
                f"{error} It went by before the first step, while the base was loaded and the speed here was measured; "
                "nothing is lost, and nothing was begun. Give it more minutes, or try it when the machine is idle."
            ) from error
        if said := looked.told(domains, asked.minutes):
            self.watcher.note(said)
        if found.sizes:
            shown = ", ".join(f"{name} {value}" for name, value in found.sizes.items())
            self.watcher.note(f"For {self.asked.minutes:g} minutes sizes are: {shown}.")
        if said := too_long(found, self.asked.minutes):
            self.watcher.note(said)
        return Course(asked.settings, domains, asked.minutes, found.factor, dict(found.sizes), rates=looked.rates)

    def _began(self) -> bool:
        return any((self.asked.folder / step.name).is_dir() for step in self.steps)

    def _write(self, inputs: Mapping[str, str], running: str = "") -> None:
        """The record of the whole: for people and pages; what is done is told by the steps' own folders."""
        settings = self.asked.settings.model_dump(mode="json")
        keep: dict[str, Any] = {name: self.record[name] for name in ("package", "page") if name in self.record}
        self.record = {
            **keep,
            "settings": settings,
            "settings_hash": hash_json(settings),
            "planned": self.course.as_dict(),
            "base": dict(self.asked.identity),
            "code": self.code,
            "steps": [self._line(step, inputs, running) for step in self.steps],
        }
        write_record(self.asked.folder, self.record)

    def _line(self, step: Step, inputs: Mapping[str, str], running: str) -> dict[str, Any]:
        result = self.results.get(step.name)
        state = DONE if result is not None else RUNNING if step.name == running else WAITING
        seconds = None if result is None else result.get("seconds")
        return {"name": step.name, "state": state, "seconds": seconds, "inputs_hash": inputs.get(step.name)}


def on_demand_of(asked: Asked) -> BaseOnDemand:
    """The base of a discovery, with matrices where its kind of adapter needs them."""
    return BaseOnDemand(asked.load, matrices=asked.settings.kind in MATRICES)


def planned(asked: Asked, on_demand: BaseOnDemand | None = None) -> tuple[Planned, Looked]:
    """What a discovery is estimated to take here, and what that is judged by; nothing is written."""
    from benchmarks.discovering.sizing.calibrating import rates_of

    context = Context(
        root=asked.folder, folder=asked.folder, settings=asked.settings,
        on_demand=on_demand or on_demand_of(asked), deadline=asked.deadline,
    )  # fmt: skip
    looked = rates_of(context)
    left = None if asked.minutes is None else context.deadline.left / 60  # what that took is spent
    return plan_sizes(asked.settings, len(context.domains), looked.rates, left), looked


def _code_hash() -> str:
    from benchmarks.plan.code import source_hash

    return source_hash(*CODE)
