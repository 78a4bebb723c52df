"""What a draft makes of columns, and why: outcomes, persons, dates, ages, what gives the label away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foundation.seeding import numpy_generator
from tasks.card import Card, load_card
from tasks.drafting.draft import Draft, draft
from tasks.drafting.guesses import Wishes
from tasks.load import load_task


def people(n: int = 200, **columns: object) -> pd.DataFrame:
    random = numpy_generator(0, "guesses")
    usual = {
        "sex": random.choice(["f", "m"], n),
        "pay": random.integers(1000, 9000, n),
        "approved": random.choice(["no", "yes"], n),
    }
    return pd.DataFrame({**columns, **usual})


def drafted(folder: Path, table: pd.DataFrame, **wishes: object) -> tuple[Card, Draft]:
    table.to_csv(folder / "a.csv", index=False)
    found = draft(folder / "a.csv", wishes=Wishes(**wishes))  # type: ignore[arg-type]
    (folder / "card.toml").write_text(found.text, encoding="utf-8")
    load_task(str(folder / "card.toml"), progress=False)
    return load_card(folder / "card.toml"), found


def reason(found: Draft, subject: str, decision: str) -> str:
    (guess,) = [g for g in found.guesses if (g.subject, g.decision) == (subject, decision)]
    return guess.reason


def test_an_outcome_of_four_classes_is_no_feature(tmp_path: Path) -> None:
    card, found = drafted(tmp_path, people(outcome=list("abcd") * 50))
    assert "outcome" in card.drop and card.label.column == "approved"
    assert "4 values (a 50, b 50, c 50, d 50)" in reason(found, "no feature", "outcome")
    card, _ = drafted(tmp_path, people(outcome=list("abcd") * 50), label="outcome", positive="c")
    assert card.label.positive.equals == ("c",) and card.label.negative_meaning == "outcome is a or b or d"
    assert int(load_task(str(tmp_path / "card.toml"), progress=False).labels.sum()) == 50


def test_persons_with_several_rows_stay_in_one_part(tmp_path: Path) -> None:
    card, found = drafted(tmp_path, people(patient_id=[f"p{i // 2}" for i in range(200)]))
    assert card.split_unit == "patient_id" and "patient_id" in card.drop
    assert "several rows" in reason(found, "split_unit", "patient_id")
    split = load_task(str(tmp_path / "card.toml"), progress=False).split
    part = {int(row): k for k, rows in enumerate((split.train, split.validation, split.test)) for row in rows}
    assert all(part[row] == part[row + 1] for row in range(0, 200, 2))


@pytest.mark.parametrize("name", ["amount", "worker age", "customer income"])
def test_repeated_numbers_are_no_persons(tmp_path: Path, name: str) -> None:
    card, _ = drafted(tmp_path, people().assign(**{name: [i // 2 for i in range(200)]}))
    assert card.split_unit == ""


@pytest.mark.parametrize("style", ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y-%m-%d %H:%M:%S"])
def test_dates_are_no_categories(tmp_path: Path, style: str) -> None:
    days = pd.date_range("2020-01-01", periods=50).strftime(style)
    card, _ = drafted(tmp_path, people(joined=list(days) * 4))
    assert "200 cells are dates" in card.drop["joined"]


def test_a_column_that_tells_the_label_is_marked(tmp_path: Path) -> None:
    table = people()
    table["fee"] = np.where(table["approved"] == "yes", 30, 5)
    table["reason"] = np.where(table["approved"] == "yes", "fine", numpy_generator(1, "r").choice(["debt", "age"], 200))
    _, found = drafted(tmp_path, table)
    assert "AUC 1.000" in reason(found, "leak?", "fee") and "AUC 1.000" in reason(found, "leak?", "reason")
    assert not [g for g in found.guesses if g.subject == "leak?" and g.decision in ("sex", "pay")]
    assert 'name = "fee"  # CHECK: it alone tells the label' in found.text


def test_ages_are_cut_at_25_where_both_groups_have_rows(tmp_path: Path) -> None:
    card, _ = drafted(tmp_path, people(age=list(range(15, 65)) * 4))
    assert [g.name for g in card.sensitive[1].groups] == ["below 25", "25 or more"]
    card, _ = drafted(tmp_path, people(age=list(range(40, 90)) * 4))
    assert card.sensitive[1].groups[0].below == 64.5


@pytest.mark.parametrize(
    "name",
    [
        "Geschlecht",
        "sexo",
        "Sexe",
        "Staatsangehörigkeit",
        "Alter",
        "etnia",
        "estado civil",
        "Behinderung",
        "raza",
        "Ausländerin",
    ],
)
def test_sensitive_names_of_other_languages(tmp_path: Path, name: str) -> None:
    card, found = drafted(tmp_path, people().rename(columns={"sex": name}))
    assert [s.column for s in card.sensitive] == [name]
    assert reason(found, "sensitive", name).startswith("named like a sensitive attribute: f ")


def test_words_keep_their_letters(tmp_path: Path) -> None:
    card, _ = drafted(
        tmp_path, people(Größe_Straße=["Ärger", "ärger"] * 100).rename(columns={"sex": "Geschlecht_Übrig"})
    )
    column = next(c for c in card.column if c.name == "Größe_Straße")
    assert column.text == "größe straße" and card.sensitive[0].name == "geschlecht_uebrig"
    assert set(load_task(str(tmp_path / "card.toml"), progress=False).frame["Größe_Straße"].cat.categories) == {
        "Ärger", "ärger",
    }  # fmt: skip


def test_what_the_user_says_is_not_guessed(tmp_path: Path) -> None:
    table = people(region=["n", "s"] * 100)
    card, _ = drafted(tmp_path, table, label="region", positive="n", sensitive=("approved", "sex"))
    assert (card.label.column, card.label.positive.equals) == ("region", ("n",))
    assert [s.column for s in card.sensitive] == ["approved", "sex"] and card.default_sensitive == "approved"
