"""Which mutants of some files the tests of a room kill.

Every mutant runs only the tests that reach its statement, first in a process that has imported and collected everything
(functions get the changed code); what an import runs is judged, if no test fails, once more with a fresh import.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import pytest

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.processes import BROKEN, forked, forked_value
from tests.mutation.swap import functions_of, swap

CPU_FLOOR, CPU_FACTOR = 20.0, 10.0
CONTROL_TESTS = 5
UNCHANGED = 3  # no function took the changed code
_QUIET = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow and not browser"]
_REACHED = "what tests reach"


@dataclass
class Reach:
    """What one test needs and reaches."""

    file: str
    seconds: float = 0.0
    lines: set[tuple[str, int]] = field(default_factory=set)


@dataclass(frozen=True)
class Verdict:
    """One mutant of one file and whether a test failed."""

    file: str
    mutant: Mutant
    killed: bool


class Room:
    """Mutants of source files against the tests of one room.

    Parameters
    ----------
    files : list of Path
        Source files, below the working directory.
    tests : list of str
        Files and folders of their tests.
    sample : int
        Most mutants of a file; more are thinned at random, always in the same way.
    longest : float
        Tests of more CPU seconds are left out: a mutant that they alone would kill counts as a survivor.
    """

    def __init__(self, files: list[Path], tests: list[str], sample: int, longest: float) -> None:
        self.files = [file.resolve() for file in files]
        self.tests = tests
        self.sample = sample
        self.longest = longest
        self.imported: set[tuple[str, int]] = set()
        self.reach: dict[str, Reach] = {}
        self.progress = os.dup(2)  # children are silent else

    def verdicts(self) -> Iterator[Verdict]:
        """Every mutant's verdict, file by file."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "quick"
            self.reach, self.imported, quick = forked_value(lambda: self._quick(Path(folder)), 36_000.0, file)
            for path in self.files:
                self._control(path)
                for place, mutant in self._sampled(path):
                    killed = (path, place) in quick or self._killed_after_import(path, mutant)
                    yield Verdict(str(path.relative_to(Path.cwd())), mutant, killed)

    def _sampled(self, path: Path) -> list[tuple[int, Mutant]]:
        found = list(enumerate(mutants(path.read_text(encoding="utf-8"), str(path))))
        return found if len(found) <= self.sample else sorted(random.Random(0).sample(found, self.sample), key=_place)

    def _quick(self, folder: Path) -> tuple[dict[str, Reach], set[tuple[str, int]], set[tuple[Path, int]]]:
        """Reach of the tests, lines that an import runs, and the mutants of functions that the tests kill."""
        plugin = _Quick(self, folder)
        pytest.main([*_QUIET, *self.tests], plugins=[plugin])
        return plugin.reach, plugin.imported, plugin.killed

    def tests_of(self, path: Path, mutant: Mutant) -> dict[str, float]:
        """The tests that reach a mutant, quickest first; those that reach its file where an import runs it."""
        lines = {(str(path), line) for line in mutant.lines}
        found = {test: reach.seconds for test, reach in self.reach.items() if reach.lines & lines}
        if not found and not mutant.in_function:
            found = {test: r.seconds for test, r in self.reach.items() if any(f == str(path) for f, _ in r.lines)}
            found = found or {test: reach.seconds for test, reach in self.reach.items()}
        return dict(sorted((item for item in found.items() if item[1] <= self.longest), key=lambda item: item[1]))

    def _control(self, path: Path) -> None:
        """The file unchanged must survive: else every mutant would count as killed."""
        text = path.read_text(encoding="utf-8")
        whole = Mutant(
            "", range(1, text.count("\n") + 1), "unchanged", False, compile(text, str(path), "exec", dont_inherit=True)
        )
        tests = list(self.tests_of(path, whole).items())[:CONTROL_TESTS]
        if self._killed_after_import(path, whole, dict(tests)):
            raise RuntimeError(f"{path}: tests fail although nothing is changed: {[name for name, _ in tests]}")

    def _killed_after_import(self, path: Path, mutant: Mutant, tests: dict[str, float] | None = None) -> bool:
        tests = self.tests_of(path, mutant) if tests is None else tests
        runs_at_import = any((str(path), line) in self.imported for line in mutant.lines)
        if not tests or (mutant.in_function and not runs_at_import):
            return False

        def work() -> int:
            name = ".".join(path.relative_to(Path.cwd()).with_suffix("").parts).removesuffix(".__init__")
            sys.meta_path.insert(0, _Finder(name, path, mutant.code))
            code = pytest.main(
                [*_QUIET, *dict.fromkeys(self.reach[test].file for test in tests)], plugins=[_Only(list(tests))]
            )
            return int(code in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR))

        return _failed(forked(work, _allowed(tests) + 60.0))


class _Quick:
    """Runs, in place of the tests, the tests once with their reach and then the mutants of functions."""

    def __init__(self, room: Room, folder: Path) -> None:
        self.room, self.folder = room, folder
        self.reach: dict[str, Reach] = {}
        self.imported: set[tuple[str, int]] = set()
        self.killed: set[tuple[Path, int]] = set()
        self.failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or report.failed

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        with _tracing(self.imported, self.room.files):
            return (yield)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        self.reach = self.room.reach = forked_value(lambda: self._traced(items), 36_000.0, self.folder / _REACHED)
        functions = {path: functions_of(str(path)) for path in self.room.files}
        gc.freeze()  # a child that collects garbage would copy all of this process
        for path in self.room.files:
            before, tried = len(self.killed), 0
            original = compile(path.read_text(encoding="utf-8"), str(path), "exec", dont_inherit=True)
            for place, mutant in self.room._sampled(path):
                tests = self.room.tests_of(path, mutant) if mutant.in_function else {}
                work = partial(self._fails, items, partial(swap, original, mutant.code, functions[path]), tests)
                code = forked(work, _allowed(tests)) if tests else 0
                if code == UNCHANGED:
                    self.imported |= {(str(path), line) for line in mutant.lines}
                elif _failed(code):
                    self.killed.add((path, place))
                tried += 1
                if tests and code == 0:
                    os.write(self.room.progress, f"  {path.name}:{mutant.lines[0]} {mutant.name}\n".encode())
            words = f"{path.name}: {len(self.killed) - before} of {tried} mutants killed before any import\n"
            os.write(self.room.progress, words.encode())
        return True

    def _traced(self, items: dict[str, pytest.Item]) -> dict[str, Reach]:
        found = {name: Reach(str(item.path)) for name, item in items.items()}
        for name, item in items.items():
            start = _cpu()
            with _tracing(found[name].lines, self.room.files):
                item.ihook.pytest_runtest_protocol(item=item, nextitem=None)  # None: its fixtures are its own
            found[name].seconds = _cpu() - start
            if self.failed:
                raise RuntimeError(f"{name} fails without any mutant")
        return found

    def _fails(self, items: dict[str, pytest.Item], change: Callable[[], int], tests: dict[str, float]) -> int:
        if not change():
            return UNCHANGED
        chosen = [items[name] for name in tests]
        for item, following in zip(chosen, [*chosen[1:], None], strict=True):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                return 1
        return 0


class _Only:
    """Keeps some tests, in the order given, and stops at the first that fails."""

    def __init__(self, tests: list[str]) -> None:
        self.order = {test: place for place, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        session.config.option.maxfail = 1
        items[:] = sorted((i for i in items if i.nodeid in self.order), key=lambda item: self.order[item.nodeid])


class _Finder(MetaPathFinder, Loader):
    """Gives one module the code of a mutant."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self.name, self.path, self.code = name, path, code

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        places = [str(self.path.parent)] if self.path.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            fullname, self.path, loader=self, submodule_search_locations=places
        )

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


@contextmanager
def _tracing(seen: set[tuple[str, int]], paths: list[Path]) -> Iterator[None]:
    """Note the lines of some files that are run."""
    files = {str(path) for path in paths}

    def line(frame: FrameType, event: str, _: Any) -> Any:
        seen.add((frame.f_code.co_filename, frame.f_lineno))
        return line

    def call(frame: FrameType, event: str, _: Any) -> Any:
        return line(frame, event, None) if frame.f_code.co_filename in files else None

    sys.settrace(call)
    try:
        yield
    finally:
        sys.settrace(None)


def _cpu() -> float:
    return time.process_time()


def _failed(code: int) -> bool:
    if code == BROKEN:
        raise RuntimeError("a mutant's process ended by an error that no test raised")
    return code != 0


def _allowed(tests: dict[str, float]) -> float:
    return CPU_FLOOR + CPU_FACTOR * sum(tests.values())


def _place(item: tuple[int, Mutant]) -> int:
    return item[0]
