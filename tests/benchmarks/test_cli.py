"""The command line: answers at once, explains itself, and says what to do about errors."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from benchmarks.cli import main

COMMANDS = (
    "bench", "choose", "tune", "predict", "monitor", "splits", "score", "report", "compare", "ui", "data", "track",
    "keygen", "sign", "verify", "inspect", "trust", "install", "list", "info", "update", "uninstall", "publish", "lock",
    "index", "package", "card", "export", "serve", "route", "chat", "infer",
)  # fmt: skip


def fairmoe(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from benchmarks.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def fairmoe_here(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The same within this process, which has imported the libraries that a fresh one takes seconds to import."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["fairmoe", *arguments])
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    assert isinstance(code, int)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def test_help_imports_no_heavy_library() -> None:
    heavy = "{'torch', 'mlflow', 'sklearn', 'pandas', 'optuna', 'scipy', 'matplotlib'}"
    code = f"import sys, benchmarks.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = fairmoe(command, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_unknown_suite_is_one_paragraph() -> None:
    done = fairmoe("bench", "quik")
    assert done.returncode == 2
    assert "Did you mean 'quick'" in done.stderr
    here = fairmoe_here("bench", "quik")
    assert (here.returncode, here.stdout, here.stderr) == (2, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr


def test_unknown_task_is_one_paragraph() -> None:
    done = fairmoe("bench", "quick", "--task", "germn")
    assert done.returncode == 2
    assert "german" in done.stderr
    assert "Traceback" not in done.stderr
