"""A card whose file changed: the user's edits stay, what changed is told, what it can no longer mean is refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tasks.card import CardError, DataError, load_card
from tasks.drafting.draft import draft
from tasks.drafting.refresh import refresh_card
from tasks.load import load_task
from tests.tasks.drafting.test_guesses import people


@pytest.fixture
def card(tmp_path: Path) -> Path:
    people(office=["a", "b"] * 100, note=["x"] * 200).to_csv(tmp_path / "a.csv", index=False)
    path = tmp_path / "a.card.toml"
    text = draft(tmp_path / "a.csv").text.replace(
        "CHECK: what a row is, where and when the data were collected", "mine"
    )
    path.write_text(f"# my own words\n{text}", encoding="utf-8")
    return path


def test_without_a_change_nothing_is_written(card: Path) -> None:
    before = card.read_text()
    assert refresh_card(card) == [] and card.read_text() == before


def test_rows_columns_categories_and_edits(card: Path) -> None:
    grown = people(240, office=["a", "b", "c"] * 80, shift=[1, 2] * 120)
    grown.loc[:2, "sex"] = "x"
    grown.to_csv(card.parent / "a.csv", index=False)
    changes = " | ".join(refresh_card(card))
    assert "rows: 200 -> 240" in changes and "new column 'shift'" in changes and "'note' of [drop] is gone" in changes
    assert "'office': 3 values now, binary -> categorical" in changes
    assert "3 rows have values that no group names ('x'): they leave the task" in changes
    new, text = load_card(card), card.read_text()
    assert text.startswith("# my own words\n# Drafted from") and new.description == "mine" and new.rows == 240
    assert set(new.drop) == {"shift"} and "# CHECK: is this what is to be predicted?" in text
    assert len(load_task(str(card), progress=False).labels) == 237


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="office"), "has no column 'office'"),
        (lambda t: t.rename(columns={"approved": "accepted"}), "has no column 'approved'"),
        (lambda t: t.assign(pay="much"), "declared numeric but holds 'much'"),
        (lambda t: t.assign(sex="f"), "in one group, 'f'"),
    ],
)
def test_what_the_card_can_no_longer_mean_is_refused(card: Path, change: object, message: str) -> None:
    before = card.read_text()
    changed: pd.DataFrame = change(pd.read_csv(card.parent / "a.csv"))  # type: ignore[operator]
    changed.to_csv(card.parent / "a.csv", index=False)
    with pytest.raises(DataError, match=message):
        refresh_card(card)
    assert card.read_text() == before


def test_a_card_without_own_files_and_a_file_that_is_gone(card: Path) -> None:
    (card.parent / "a.csv").unlink()
    with pytest.raises(DataError, match="There is no file"):
        refresh_card(card)
    card.write_text(card.read_text().replace('url = ""', 'url = "https://example.org/a.csv"'))
    with pytest.raises(CardError, match="describes no file of yours"):
        refresh_card(card)
