"""``fairmoe data``: what a user sees."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.commands.data import app
from tests.tasks.drafting.test_draft import people
from tests.tasks.toys import own_card, toy_table


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRMOE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FAIRMOE_DATA_MIRROR", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.output
    return result.output


def test_list_names_all_data_sets_and_says_which_are_here() -> None:
    lines = {line.split()[1]: line for line in run("list").splitlines() if line.startswith("│")}
    assert "not needed" in lines["scm"] and lines["german"].rstrip(" │").endswith("no") and "1,000" in lines["german"]


def test_show_gives_source_defects_groups_and_columns() -> None:
    text = run("show", "scm")
    for word in ("Simulated", "women lose", "female", "1,615", "part_time", "months"):
        assert word in text
    assert "not on this machine" in run("show", "german")
    assert "survey of german: one source" in " ".join(run("show", "german_credit").split())


def test_check_reads_everything_and_fails_loudly(tmp_path: Path) -> None:
    own_card(tmp_path, toy_table(200).to_csv(index=False))
    card = str(tmp_path / "card.toml")
    text = run("check", "scm", card)
    assert "ok scm:sex: 4,000 rows" in text and "ok toy:race: 200 rows" in text
    gone = int((toy_table(200)["age"] == -9).sum())
    assert f"ok toy:age: {200 - gone} rows" in text and f"; {gone} rows left: in no group of age" in text
    (tmp_path / "own.csv").write_text("forged")
    text = run("check", "scm", card, code=1)
    assert "failed toy" in text and "has sha256" in text and "1 failed: toy" in text


def test_fetch_says_where_files_are(tmp_path: Path) -> None:
    own_card(tmp_path, toy_table(200).to_csv(index=False))
    assert str(tmp_path / "own.csv") in run("fetch", str(tmp_path / "card.toml"), "scm")


def test_a_drafted_card_passes_the_check(tmp_path: Path) -> None:
    csv = tmp_path / "loans.csv"
    csv.write_text(people().to_csv(index=False))
    assert "loans.card.toml" in run("card", str(csv))
    assert "ok loans:gender: 120 rows" in run("check", str(tmp_path / "loans.card.toml"))
    again = CliRunner().invoke(app, ["card", str(csv)])
    assert again.exit_code == 1 and "--force" in str(again.exception)
    run("card", str(csv), "--force")
