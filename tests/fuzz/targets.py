"""What reads inputs of users, and the promise that is checked: it accepts them, or refuses them in one paragraph."""

from __future__ import annotations

import functools
import hashlib
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from benchmarks.plan.suite import load_suite
from benchmarks.predictions.reading import read_predictions
from benchmarks.run.failure import explain
from tasks.card import load_card
from tasks.drafting.draft import draft
from tasks.load import load_task
from tasks.task import Task
from tests.fuzz.inputs import CARD, table
from tests.fuzz.packages import read_manifest, read_package

LONGEST = 10.0
"""Seconds after which an input counts as a hang."""
LONGEST_TEXT = 2_000


class Broken(AssertionError):
    """A promise that was not kept."""


class Hang(BaseException):
    """No answer in time; not caught by what catches errors."""


def read_table(data: bytes, folder: Path) -> None:
    """Draft a card for a CSV and make a task of it."""
    (folder / "own.csv").write_bytes(data)
    text = draft(folder / "own.csv").text
    (folder / "own.card.toml").write_text(text, encoding="utf-8", newline="")
    card = load_card(folder / "own.card.toml")  # a draft is a valid card
    for attribute in card.sensitive[:2]:
        load_task(f"{folder / 'own.card.toml'}:{attribute.name}", progress=False)


def read_card(data: bytes, folder: Path) -> None:
    """Make a task of a card beside its CSV."""
    _load(data, table().encode(), folder)


def read_rows(data: bytes, folder: Path) -> None:
    """Make a task of a CSV whose card is good."""
    _load(CARD.encode(), data or b"sex", folder)


def _load(data: bytes, people: bytes, folder: Path) -> None:
    (folder / "people.csv").write_bytes(people)
    data = data.replace(b"{sha256}", hashlib.sha256(people).hexdigest().encode())
    data = data.replace(b"{size}", str(len(people)).encode()).replace(b"{{", b"{").replace(b"}}", b"}")
    (folder / "card.toml").write_bytes(data)
    load_task(str(folder / "card.toml"), progress=False)


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def workplace() -> Path:
    """One folder for all inputs: every target writes its files anew."""
    return Path(_folder().name)


@functools.cache
def _people() -> tuple[Task, tempfile.TemporaryDirectory[str]]:
    folder = tempfile.TemporaryDirectory()
    read_card(CARD.encode(), Path(folder.name))
    return load_task(str(Path(folder.name) / "card.toml"), progress=False), folder


def read_scores(data: bytes, folder: Path) -> None:
    """Read predictions of a task's test rows."""
    task = _people()[0]
    name = "p.parquet" if data[:4] == b"PAR1" else "p.csv"
    (folder / name).write_bytes(data)
    found = read_predictions(folder / name, task, task.split.test)
    if not ((found >= 0) & (found <= 1)).all() or len(found) != len(task.split.test):
        raise Broken(f"read {found}")


def read_suite(data: bytes, folder: Path) -> None:
    """Read a suite."""
    (folder / "suite.toml").write_bytes(data)
    load_suite(str(folder / "suite.toml"))


TARGETS: dict[str, Callable[[bytes, Path], None]] = {
    "tables": read_table,
    "cards": read_card,
    "rows": read_rows,
    "predictions": read_scores,
    "suites": read_suite,
    "manifests": read_manifest,
    "packages": read_package,
}


def judge(target: Callable[[bytes, Path], None], data: bytes) -> str:
    """ "accepted", or the class of the refusal.

    Raises
    ------
    Broken
        If the refusal is a traceback, no paragraph, longer than a paragraph, or took longer than ``LONGEST``.
    """
    with warnings.catch_warnings(), _alarm():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        try:
            target(data, workplace())
        except Broken:
            raise
        except Hang:
            raise Broken(f"no answer in {LONGEST:g} s") from None
        except Exception as error:
            text = explain(error)
            if text is None:
                raise Broken(f"a traceback: {type(error).__name__}: {error}") from error
            if not text or len(text) > LONGEST_TEXT or not text.isprintable():
                raise Broken(f"no paragraph: {text!r}") from error
            return type(error).__name__
    return "accepted"


@contextmanager
def _alarm() -> Iterator[None]:
    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
