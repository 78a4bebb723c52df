"""Remarks of jobs go to a file of the job, not to the console; the run tells of them once."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.run.telling.notes import FILE, notes_kept, notes_of
from benchmarks.run.telling.progress import ANY, show_progress
from foundation.console import plain_console


def test_records_and_warnings_are_kept_and_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, shown = list(root.handlers), warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with notes_kept(tmp_path / "job"):
            logging.getLogger("any.library").warning("two\nlines [b]%s[/b]", "x")
            logging.getLogger("any.library").info("not this")
            warnings.warn("slow", RuntimeWarning, stacklevel=1)
    first, second = notes_of([tmp_path / "job", tmp_path / "other"])[tmp_path / "job" / FILE]
    assert first == "two lines [b]x[/b]" and second.startswith("RuntimeWarning: slow (test_notes.py:")
    assert capsys.readouterr().err == ""
    assert root.handlers == before
    assert warnings.showwarning is shown or "pytest" in sys.modules  # pytest's own recorder stands around tests


def test_a_new_attempt_begins_anew_and_silence_leaves_no_file(tmp_path: Path) -> None:
    with notes_kept(tmp_path):
        logging.getLogger("x").warning("first")
    with notes_kept(tmp_path):
        pass
    assert notes_of([tmp_path]) == {} and not (tmp_path / FILE).exists()


def lines_of(console: Console) -> list[str]:
    with show_progress({"a [x]": 10.0, "b": 30.0}, console, workers=1) as progress:
        progress.notify("a [x]", "tune", 0.5)
        progress.notify("a [x]", "again", 0.2)
        progress.finish("a [x]", failed=False)
        progress.finish("b", failed=True)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


def test_without_a_terminal_a_line_per_job(capsys: pytest.CaptureFixture[str]) -> None:
    import io

    lines = lines_of(plain_console(file=io.StringIO(), force_terminal=False, width=80))
    assert len(lines) == 2 and lines[0].startswith("[1/2] a [x] finished; 0 s, ") and lines[0].endswith(" left")
    assert lines[1] == "[2/2] b failed; 0 s"


def test_a_job_of_unknown_name_moves_the_bar() -> None:
    import io

    with show_progress({ANY: 1.0}, plain_console(file=io.StringIO(), force_terminal=False)) as progress:
        progress.notify("german", "tune", 0.5)
        assert progress._left.share == 0.5
