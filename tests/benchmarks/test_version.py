"""``fairmoe --version``: what to say in a report of a fault."""

from __future__ import annotations

import platform
import re

from typer.testing import CliRunner

from benchmarks.cli import app


def test_version_names_project_python_and_torch() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0
    assert re.fullmatch(r"fairmoe \d+\.\d+\.\d+.*, Python \S+, torch \S+\n", done.output)
    assert platform.python_version() in done.output


def test_help_still_says_what_the_command_is() -> None:
    assert "who wins" in " ".join(CliRunner().invoke(app, ["--help"]).output.split())
