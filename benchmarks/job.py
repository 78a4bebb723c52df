"""Jobs and cells: the units of work, of caching and of failure, and the keys that name them."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.baselines import BASELINES
from benchmarks.environment import computing_hash, library_versions, llm_library_versions, source_hash
from benchmarks.suite import LLM_METHODS, LLMSettings, Suite, SuiteError
from tasks.registry import task_name
from tasks.seeding import derive_seed


def hash_json(data: Any) -> str:
    """sha256 of canonical JSON."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


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
    methods: tuple[str, ...]
    code: str  # hashes taken when the run was planned: workers must agree on where cells go
    baseline_code: tuple[tuple[str, str], ...]
    cfa: bool = False  # more metrics of the same predictions
    llm: LLMSettings | None = None
    llm_key: str = ""  # hash of all that determines the text experts beside the job itself

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
        apart = ("suite", "methods", "task", "baseline_code", "cfa", "llm", "llm_key")
        facts = {k: v for k, v in asdict(replace(self, llm=None)).items() if k not in apart}
        return hash_json([self.title, facts, library_versions()])

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
        own = self.llm_key if method in LLM_METHODS else dict(self.baseline_code).get(method, "")
        return hash_json([self.key, method, repeat, own, self.cfa])[:24]

    def cell_folder(self, jobs: Path, method: str, repeat: int) -> Path:
        """Where a cell is when it is finished, below the folder of all jobs."""
        return jobs / self.folder / "cells" / self.cell_key(method, repeat)

    def cells(self) -> list[tuple[str, int]]:
        """(method, repetition) of every cell."""
        methods = (*self.methods, *(self.llm.methods if self.llm else ()))
        return [(method, repeat) for repeat in range(self.seeds) for method in methods]


def llm_hash(settings: LLMSettings) -> str:
    """Hash of all that determines text experts: base (of a folder its files), settings, code and libraries."""
    from llm_experts.base import hash_of
    from llm_experts.nano import nano_hash

    apart = {"tasks", "splits", "methods", "device"}
    facts = settings.model_dump(mode="json", exclude=apart)
    folder = Path(settings.base).expanduser()
    base = nano_hash() if settings.base == "nano" else hash_of(folder) if folder.is_dir() else settings.base
    return hash_json([facts, base, source_hash("llm_experts", "benchmarks/llm_stages.py"), llm_library_versions()])


def plan(suite: Suite, card_hashes: dict[str, str]) -> Iterator[Job]:
    """Jobs of a suite for the tasks whose card hash is given, in the suite's order."""
    tasks = [task for task in suite.all_tasks if task in card_hashes]
    titles = [task_name(task) for task in tasks]
    if len(set(titles)) < len(titles):
        twice = next(title for title in titles if titles.count(title) > 1)
        raise SuiteError(f"Two tasks of {suite.name} are called {twice}. Rename one: the name field of your own card.")
    for task in tasks:
        for use, split in itertools.product(suite.use_sensitive, range(suite.splits_of(task))):
            text = suite.llm_on(task)
            yield Job(
                suite=suite.name, task=task, card_hash=card_hashes[task], protocol=suite.protocol, split=split,
                use_sensitive=use, seeds=suite.seeds, suite_seed=suite.seed, trials=suite.trials, batch=suite.batch,
                space=suite.space, epsilon=suite.epsilon, folds=suite.folds,
                budget=tuple(sorted(suite.budget.items())), methods=suite.methods, cfa=suite.cfa, code=computing_hash(),
                llm=text, llm_key=llm_hash(text) if text else "",
                baseline_code=tuple((name, source_hash(f"benchmarks/baselines/{name}.py")) for name in BASELINES),
            )  # fmt: skip
