"""Options of ``fairmoe bench`` that would be passed over are refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--nodes", "4"], "give them with --dry-run"),
        (["--json"], "give them with --dry-run"),
        (["--max-memory", "4", "--shard", "1/2"], "leave --shard and --executor out"),
        (["--max-memory", "4", "--executor", "ray"], "leave --shard and --executor out"),
        (["--unit-minutes", "5"], "only units of a cluster have such limits"),
        (["--unit-memory", "2", "--node-minutes", "5"], "--unit-memory, --node-minutes"),
        (["--max-memory", "4", "--dry-run"], "leave it or --max-memory out"),
    ],
)
def test_options_that_would_be_passed_over_are_refused(options: list[str], told: str, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = CliRunner().invoke(app, ["bench", "quick", "--task", "scm", "--output", str(output), *options])
    assert done.exit_code == 2
    assert told in " ".join(done.output.replace("│", " ").split())
    assert not output.exists()
