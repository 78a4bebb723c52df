"""The command line: answers at once, explains itself, and says what to do about errors."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMANDS = (
    "bench", "choose", "tune", "predict", "monitor", "splits", "score", "report", "compare", "ui", "data", "track",
    "keygen", "sign", "verify", "inspect", "trust", "install", "list", "info", "update", "uninstall", "publish", "lock",
    "index", "package", "card", "export", "serve", "route", "chat", "infer",
)  # fmt: skip


def fairmoe(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from benchmarks.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


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
    assert "Traceback" not in done.stderr


def test_unknown_task_is_one_paragraph() -> None:
    done = fairmoe("bench", "quick", "--task", "germn")
    assert done.returncode == 2
    assert "german" in done.stderr
    assert "Traceback" not in done.stderr
