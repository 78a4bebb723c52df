"""Jobs and cells: the units of work, of caching and of failure, and the keys that name them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.methods.baselines import baseline_names
from benchmarks.methods.method import CROSS, FAMILIES, GRAPH, LIBRARY, TABULAR, Network
from benchmarks.methods.own_method import is_own, own_hash, own_path
from benchmarks.methods.registry import all_methods, method_id, pool_networks
from benchmarks.plan.code import baseline_hash, computing_hash, source_hash, text_hash
from benchmarks.plan.environment import baseline_library_versions, library_versions, llm_library_versions
from benchmarks.plan.suite import LLMSettings, Suite, SuiteError
from experts.families.registry import PLAIN
from foundation.hashing import hash_json
from foundation.seeding import derive_seed
from tasks.registry import resolve, task_name

FLOOR: Network = ("utility", PLAIN)
"""The network whose validation utility every fair choice must nearly reach."""
SUMMARISED = pool_networks(TABULAR, ())
"""Networks whose studies have a summary together."""

STREAMING = "benchmarks/streaming"
"""Room whose code decides the numbers of jobs whose rows stay in files, and of no other."""

_FILE = re.compile(r"(?P<path>.*\.(?:toml|py))(?P<rest>[:@].*)?")
"""A card or a file of own methods, then attributes, a row cap, or the function."""


@dataclass(frozen=True)
class Job:
    """One task × split × sensitive axis: all methods and all training seeds on it share one tensor program.

    Its results are *cells*, one per method and seed. Whatever determines their numbers is in the job's key: data and
    card (through the card's hash, which holds the sha256 of every file), split, settings, seeds, code and libraries.
    """

    suite: str
    task: str
    card_hash: str
    protocol: str
    split: int
    use_sensitive: str
    seeds: int
    suite_seed: int
    trials: int
    batch: int
    space: str
    epsilon: float
    folds: int
    budget: tuple[tuple[str, Any], ...]
    methods: tuple[str, ...]  # those that the task has
    code: str  # hashes taken when the run was planned: workers must agree on where cells go
    baseline_code: tuple[tuple[str, str], ...]  # hash of each baseline and own method
    settings: str = "tuned"
    families: tuple[str, ...] = (PLAIN,)
    bag_folds: int = 5
    fair_trials: int | None = None
    graph_kinds: tuple[str, ...] = ("gcn",)
    graph_layers: int = 1
    own: tuple[tuple[str, str], ...] = ()  # own methods: name in tables, path/to/file.py:factory
    method_seconds: float | None = None
    cfa: bool = False  # more metrics of the same predictions
    llm: LLMSettings | None = None
    llm_key: str = ""  # hash of all that determines the text experts beside the job itself
    storage: str = field(default="", repr=False)  # where studies lie: no part of what a job is, and may hold a password

    def seed_of(self, repeat: int) -> int:
        """Seed of everything random in one repetition of training (the split has its own)."""
        return derive_seed(self.suite_seed, "job", self.title, self.split, self.use_sensitive, repeat)

    @property
    def title(self) -> str:
        """Name of the task in tables and seeds: an own card goes by its name, wherever its file lies."""
        return task_name(self.task)

    @cached_property
    def key(self) -> str:
        """Hash of everything that determines the job's experts; methods are keyed one by one."""
        apart = (
            "suite", "methods", "task", "baseline_code", "cfa", "llm", "llm_key", "graph_kinds",
            "graph_layers", "own", "method_seconds", "seeds", "families", "storage",
        )  # fmt: skip
        facts = {k: v for k, v in asdict(replace(self, llm=None)).items() if k not in apart}
        return hash_json([self.title, facts, library_versions()])

    @property
    def place(self) -> tuple[str, str, int]:
        """Task, sensitive axis and split: what tells it from the other jobs of its suite."""
        return self.title, self.use_sensitive, self.split

    @property
    def name(self) -> str:
        """Short name for people and folders."""
        drop = "_drop" if self.use_sensitive == "drop" else ""
        return f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', self.title)}{drop}_split{self.split}"

    @property
    def folder(self) -> str:
        """Name of the job's folder."""
        return f"{self.name}_{self.key[:12]}"

    def cell_key(self, method: str, repeat: int) -> str:
        """Hash of everything that determines one cell."""
        return hash_json([self.key, method, repeat, self._own_facts(method), self.cfa])[:24]

    def _own_facts(self, method: str) -> Any:
        """What determines a method's cells beside the job."""
        baseline = dict(self.baseline_code).get(method)
        if baseline is not None:
            return baseline
        found = all_methods()[method]
        if found.text:
            graph = self.llm is not None and self.llm.with_graph and found.pool == CROSS
            return [self.llm_key, "with graph", self.graph_layers, *self.graph_kinds] if graph else self.llm_key
        if found.pool in (FAMILIES, LIBRARY):
            return list(self.families)
        if found.edges or any(family != PLAIN for _, family in found.networks):  # families that may have a depth
            return [self.graph_layers, *(self.graph_kinds if found.pool == GRAPH else ())]
        return ""

    def trials_of(self, network: Network) -> int:
        """Tuning trials of a role of a family."""
        role, family = network
        fair = role != "utility" and family != PLAIN and network in pool_networks(LIBRARY, (), self.families)
        return self.fair_trials if fair and self.fair_trials is not None else self.trials

    def cell_folder(self, jobs: Path, method: str, repeat: int) -> Path:
        """Where a cell is when it is finished, below the folder of all jobs."""
        return jobs / self.folder / "cells" / self.cell_key(method, repeat)

    def cells(self) -> list[tuple[str, int]]:
        """(method, repetition) of every cell."""
        text = self.llm.methods if self.llm else ()
        seeds = self.llm.seeds if self.llm else 0
        return [
            (method, repeat)
            for repeat in range(self.seeds)
            for method in (*self.methods, *(text if repeat < seeds else ()))
        ]

    def unfinished(self, jobs: Path) -> list[tuple[str, int]]:
        """(method, repetition) of the cells that are not below the folder of all jobs yet."""
        return [cell for cell in self.cells() if not self.cell_folder(jobs, *cell).is_dir()]

    def needs_edges(self, methods: Iterable[str]) -> bool:
        """Whether the task must be loaded with its edges for these methods."""
        crossed = self.llm is not None and self.llm.with_graph and resolve(self.task).card.edges is not None
        known = all_methods()
        return any(needs_edges(m) or (crossed and m in known and known[m].pool == CROSS) for m in methods)

    def networks_of(self, methods: Iterable[str]) -> tuple[Network, ...]:
        """Tuned networks that methods are, are made of or stand on, the one that sets the floor first."""
        known = all_methods()
        found: dict[Network, None] = {}
        for name in methods:
            method = known.get(name)
            found |= dict.fromkeys((FLOOR,) if method is None else method.networks)  # one's own stands on the floor
            if method is not None and method.pool in (TABULAR, GRAPH, FAMILIES, LIBRARY):
                found |= dict.fromkeys(pool_networks(method.pool, self.graph_kinds, self.families))
        return tuple(sorted(found, key=lambda network: network != FLOOR))

    def studies_of(self, methods: Iterable[str]) -> tuple[Network, ...]:
        """Networks that are tuned for methods: the floor of every fair choice, and those of :meth:`networks_of`."""
        return tuple(dict.fromkeys((FLOOR, *self.networks_of(methods))))


def job_record(job: Job) -> dict[str, Any]:
    """All that a job is, JSON-able, with the versions of libraries; files are told by their full paths."""
    own = [[name, _full_path(path)] for name, path in job.own]
    return {"job": {**job_facts(job), "task": _full_path(job.task), "own": own}, "libraries": library_versions()}


def job_facts(job: Job) -> dict[str, Any]:
    """All that a job is, JSON-able; where its studies lie is none of it."""
    llm = None if job.llm is None else job.llm.model_dump(mode="json")
    return {**{f.name: getattr(job, f.name) for f in fields(Job) if f.name != "storage"}, "llm": llm}


def recorded_job(record: dict[str, Any]) -> Job:
    """The job of a record, as it was when it was planned."""
    return Job(**job_fields(record["job"]))


def job_fields(facts: dict[str, Any]) -> dict[str, Any]:
    """The inverse of :func:`job_facts`, from what JSON makes of them: arguments of :class:`Job`."""
    llm = facts["llm"]
    frozen = {name: _frozen(value) for name, value in facts.items()}
    return {**frozen, "llm": None if llm is None else LLMSettings.model_validate(llm)}


def _full_path(name: str) -> str:
    """A card or own method by the full path of its file; other names as they are."""
    found = _FILE.fullmatch(name)
    return name if found is None else f"{Path(found['path']).expanduser().resolve()}{found['rest'] or ''}"


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def llm_hash(settings: LLMSettings) -> str:
    """Hash of all that determines text experts: the base and its numbers, settings, code and libraries."""
    from llm_experts.bases.identify import base_key_of

    apart = {"tasks", "splits", "seeds", "methods", "base", "dtype", "quantisation", "device", "with_graph"}
    facts = settings.model_dump(mode="json", exclude=apart)
    base = base_key_of(settings.base, settings.dtype, settings.quantisation, settings.device)
    return hash_json([facts, base, text_hash(), llm_library_versions()])


def plan(suite: Suite, card_hashes: dict[str, str]) -> Iterator[Job]:
    """Jobs of a suite for the tasks whose card hash is given, in the suite's order."""
    tasks = [task for task in suite.all_tasks if task in card_hashes]
    code = baseline_code(suite)
    own = tuple((method_id(m), own_path(m)) for m in suite.methods if is_own(m))
    methods = {task: methods_of(suite, task) for task in tasks}
    titles = [task_name(task) for task in tasks]
    if len(set(titles)) < len(titles):
        twice = next(title for title in titles if titles.count(title) > 1)
        raise SuiteError(f"Two tasks of {suite.name} are called {twice}. Rename one: the name field of your own card.")
    for task in tasks:
        for use, split in itertools.product(suite.use_sensitive, range(suite.splits_of(task))):
            text = suite.llm_on(task, split)
            yield Job(
                suite=suite.name, task=task, card_hash=card_hashes[task], protocol=suite.protocol, split=split,
                use_sensitive=use, seeds=suite.seeds, suite_seed=suite.seed, trials=suite.trials, batch=suite.batch,
                space=suite.space, epsilon=suite.epsilon, folds=suite.folds,
                budget=tuple(sorted(suite.budget.items())), methods=methods[task], cfa=suite.cfa,
                code=computing_hash(), baseline_code=code, settings=_settings(suite), graph_kinds=suite.graph_kinds,
                graph_layers=suite.graph_layers, families=suite.families, bag_folds=suite.bag_folds,
                fair_trials=suite.fair_trials, own=own, method_seconds=suite.method_seconds,
                llm=text, llm_key=llm_hash(text) if text else "",
                storage=suite.storage,
            )  # fmt: skip


def _settings(suite: Suite) -> str:
    """``tuned`` or ``published``, or by which code rows are read from files: batches and reasons depend on it."""
    return f"streamed {source_hash(STREAMING)}" if suite.rows_in_files else suite.settings


def methods_of(suite: Suite, task: str) -> tuple[str, ...]:
    """Names of the suite's methods that a task has, but for text experts: graph methods need edges."""
    wanted = suite.graph_tasks is None or task in suite.graph_tasks
    graph = wanted and resolve(task).card.edges is not None
    return tuple(method_id(m) for m in suite.methods if graph or not needs_edges(m))


def needs_edges(method: str) -> bool:
    """Whether a method is one of graphs."""
    found = all_methods().get(method)
    return found is not None and found.edges


def baseline_code(suite: Suite) -> tuple[tuple[str, str], ...]:
    """Hash of all that determines each baseline and own method of a suite beside the job: its files, libraries."""
    known = baseline_names()
    shipped = [(m, baseline_hash(m)) for m in suite.methods if m in known]
    own = [(method_id(m), own_hash(m)) for m in suite.methods if is_own(m)]
    libraries = baseline_library_versions()
    return tuple((name, hash_json([code, libraries])) for name, code in (*shipped, *own))
