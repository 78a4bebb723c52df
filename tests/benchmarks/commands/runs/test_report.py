import shlex

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from benchmarks.commands.runs.report import report
from tests.reports.conftest import write_run

app = typer.Typer()
app.command()(report)


@pytest.fixture
def run(tmp_path):
    write_run(tmp_path / "run")
    return tmp_path / "run"


def test_says_where_the_pages_are(run):
    result = CliRunner().invoke(app, [str(run)])
    assert result.exit_code == 0
    assert str(run / "leaderboard.html") in result.output.replace("\n", "")
    assert (run / "leaderboard.md").exists()


def test_says_what_to_run_next(run):
    result = CliRunner().invoke(app, [str(run)])
    tasks = sorted(set(pd.read_csv(run / "provenance.csv")["task"]))
    (line,) = [line for line in result.output.split("\n") if "fairmoe choose" in line]
    words = shlex.split(line)
    assert words[:3] == ["fairmoe", "choose", str(run)]
    assert words[words.index("--task") + 1] in tasks
    assert f"another of its {len(tasks)} tasks" in result.output


def test_a_folder_without_tables_is_explained(tmp_path):
    result = CliRunner().invoke(app, [str(tmp_path)])
    assert "output folder of a bench run" in str(result.exception)
