"""``fairmoe data``: what a user sees."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.commands.tables.data import app
from benchmarks.streaming.measured import made_table
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


def test_a_draft_says_how_to_correct_its_guesses(tmp_path: Path) -> None:
    csv = tmp_path / "loans.csv"
    csv.write_text(people().to_csv(index=False))
    guessed = run("card", str(csv))
    for option in ("--label", "--positive", "--sensitive", "--force"):
        assert option in guessed
    told = run("card", str(csv), "--label", "approved", "--sensitive", "Gender", "--force")
    assert "guessed wrong" not in told


def test_check_shows_groups_by_label_and_warns_of_small_ones(tmp_path: Path) -> None:
    table = people(200)
    table.loc[:9, "Gender"] = "other"
    table.to_csv(tmp_path / "loans.csv", index=False)
    told = run("card", str(tmp_path / "loans.csv"))
    assert "Guessed, with reasons:" in told and "named like a sensitive attribute: man " in told
    text = run("check", str(tmp_path / "loans.card.toml"))
    assert "share of class 1" in text and "SMALL fewer than 20 rows to train: other (class 1:" in text


def test_check_looks_at_edges_and_at_groups_without_a_row(tmp_path: Path) -> None:
    people(120).to_csv(tmp_path / "loans.csv", index=False)
    (tmp_path / "edges.txt").write_text("1000 1001\n1001 1000\n1005 1005\n1002 77\n")
    assert "edges" in run("card", str(tmp_path / "loans.csv"), "--edges", str(tmp_path / "edges.txt"))
    card = tmp_path / "loans.card.toml"
    text = run("check", str(card))
    assert "edges: 1 of 4 lines; 1 with an unknown id (such as 77:" in text
    assert "1 of a row with itself, 1 in both directions, 0 repeated; 118 of 120 rows have no edge" in text
    card.write_text(card.read_text().replace('key = "Customer ID"', 'key = ""'))
    assert "No pair of edges.txt joins two rows" in run("check", str(card), code=1)
    card.write_text(card.read_text().replace('equals = ["man"]', 'equals = ["[Man]"]'))
    assert "rows left the task: in no group of gender" in run("check", str(card), code=1)
    twin = 'groups = [\n{ name = "man too", equals = ["man"] },\n'
    card.write_text(card.read_text().replace("groups = [\n", twin, 1))
    assert "no cell of column 'Gender' holds '[Man]'" in run("check", str(card), code=1)


def test_refresh_keeps_edits_and_says_what_changed(tmp_path: Path) -> None:
    people(120).to_csv(tmp_path / "loans.csv", index=False)
    run("card", str(tmp_path / "loans.csv"))
    assert "has not changed" in run("card", str(tmp_path / "loans.csv"), "--refresh")
    people(150).to_csv(tmp_path / "loans.csv", index=False)
    assert "- rows: 120 -> 150" in run("card", str(tmp_path / "loans.card.toml"), "--refresh")
    run("check", str(tmp_path / "loans.card.toml"))


def test_a_large_table_is_looked_at_in_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What drafts, checks and shows it never holds it, counts the same rows, and says how to run it."""
    made, table = str(made_table(tmp_path, 3000)), str(tmp_path / "big.parquet")
    small = {what: run(what, made) for what in ("check", "show")}
    monkeypatch.setattr("tasks.stored.chunks.LARGE_ROWS", 2000)
    monkeypatch.setattr("tasks.load.read_frame", None)
    assert {what: run(what, made) for what in small} == small
    told = " ".join(run("card", table).split())
    assert f"fairmoe bench quick --task {tmp_path / 'big.card.toml'} --protocol robust --max-memory 3" in told


def test_a_column_of_a_large_table_that_is_not_as_its_card_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = made_table(tmp_path, 3000)
    card.write_text(card.read_text().replace('name = "w0"\nkind = "categorical"', 'name = "w0"\nkind = "binary"'))
    monkeypatch.setattr("tasks.stored.chunks.LARGE_ROWS", 2000)
    assert "declared binary but holds a, b, c, d, e" in " ".join(run("check", str(card), code=1).split())
