"""Options of ``fairmoe bench`` that would be passed over are refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app


def refused(options: list[str], suite: str = "quick") -> str:
    """What is said of options that are refused, on one line."""
    done = CliRunner().invoke(app, ["bench", suite, "--task", "scm", *options])
    assert done.exit_code == 2
    return " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--nodes", "4"], "give them with --dry-run"),
        (["--json"], "give them with --dry-run"),
        (["--max-memory", "4", "--executor", "ray"], "leave --executor out; --shard gives each"),
        (["--unit-minutes", "5"], "only units of a cluster have such limits"),
        (["--unit-memory", "2", "--node-minutes", "5"], "--unit-memory, --node-minutes"),
        (["--max-memory", "4", "--dry-run"], "leave it or --max-memory out"),
    ],
)
def test_options_that_would_be_passed_over_are_refused(options: list[str], told: str, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert told in refused(["--output", str(output), *options])
    assert not output.exists()


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_suite_of_rows_in_files_needs_a_limit(options: list[str], tmp_path: Path) -> None:
    suite = tmp_path / "files.toml"
    suite.write_text('name = "files"\ntasks = ["scm"]\nrows_in_files = true\n', encoding="utf-8")
    assert "give --max-memory" in refused(["--output", str(tmp_path / "out"), *options], str(suite))
    assert not (tmp_path / "out").exists()
