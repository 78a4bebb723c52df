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


@pytest.mark.parametrize("start", [1, 2202])
@pytest.mark.parametrize("name", ["Antrag", "id", "", "first"])
def test_a_running_number_is_no_feature(tmp_path: Path, name: str, start: int) -> None:
    column = name or "Unnamed: 0"
    card, _ = drafted(tmp_path, people(**{column: np.arange(start, start + 200)}))  # type: ignore[arg-type]
    assert "identifier" in card.drop[column] and column not in [c.name for c in card.column]
    shuffled = numpy_generator(0, "order").permutation(np.arange(start, start + 200))
    card, _ = drafted(tmp_path, people(**{column: shuffled}))  # type: ignore[arg-type]
    assert column in card.drop


def test_a_sample_of_a_running_number_is_no_feature_and_amounts_are(tmp_path: Path) -> None:
    random = numpy_generator(0, "case")
    cases = random.choice(np.arange(1, 600), 200, replace=False)
    amounts = random.choice(np.arange(100, 1_000_000), 200, replace=False)
    card, found = drafted(tmp_path, people(fall=cases, amount=amounts))
    assert set(card.drop) == {"fall"} and "no two are equal" in reason(found, "no feature", "fall")


@pytest.mark.parametrize(
    "name", ["black", "white", "nonwhite", "minority", "afam", "foreign", "migrant", "is_female", "Auslaender"]
)
def test_names_of_groups_are_sensitive(tmp_path: Path, name: str) -> None:
    table = people(zone=["a", "b"] * 100, **{name: ["no", "yes", "yes", "no"] * 50}).drop(columns="sex")  # type: ignore[arg-type]
    card, found = drafted(tmp_path, table)
    assert [s.column for s in card.sensitive] == [name]
    assert "named like" in reason(found, "sensitive", name)


def test_a_sensitive_column_for_want_of_a_better_one_is_the_first_to_check(tmp_path: Path) -> None:
    table = people(zone=["a", "b", "c", "d"] * 50, owner=["n", "y"] * 100, married=["n", "y"] * 100)
    card, found = drafted(tmp_path, table.drop(columns="sex"))
    assert [s.column for s in card.sensitive] == ["married"]
    assert (found.guesses[0].subject, found.guesses[0].decision) == ("sensitive", "married")
    assert found.guesses[0].reason.startswith("CHECK FIRST: no name says that it is sensitive")
    assert "[[sensitive]]  # CHECK FIRST: no name says" in found.text
    card, _ = drafted(tmp_path, table.drop(columns=["sex", "married"]))
    assert [s.column for s in card.sensitive] == ["owner"]


def test_numbers_in_two_notations_are_told_and_spoil_no_other_column(tmp_path: Path) -> None:
    table = people(rate=["1,5", "0,25"] * 99 + ["2,5", "1.721"], fee=["3,75", "1", "2", "0,5"] * 50)
    table.to_csv(tmp_path / "a.csv", index=False, sep=";")
    found = draft(tmp_path / "a.csv")
    (tmp_path / "card.toml").write_text(found.text, encoding="utf-8")
    why = reason(found, "no feature", "rate")
    assert "199 cells with a decimal comma, 1 with a point, such as '1.721' in row 200" in why
    task = load_task(str(tmp_path / "card.toml"), progress=False)
    assert task.frame["fee"].tolist() == [3.75, 1.0, 2.0, 0.5] * 50 and task.card.read.decimal == ","


def test_separated_thousands_are_understood_where_they_cannot_be_meant_otherwise(tmp_path: Path) -> None:
    table = people(
        pay_in=["25.983,54", "950,5", "7", "1.000"] * 50, odd=["1.234", "7"] * 100, fee=["3,75", "1", "2", "0,5"] * 50
    )
    table.to_csv(tmp_path / "a.csv", index=False, sep=";")
    found = draft(tmp_path / "a.csv")
    (tmp_path / "card.toml").write_text(found.text, encoding="utf-8")
    assert 'thousands = "."  # CHECK: numbers with separated thousands in "pay_in", "fee"' in found.text
    task = load_task(str(tmp_path / "card.toml"), progress=False)
    assert (
        task.frame["pay_in"].tolist() == [25983.54, 950.5, 7.0, 1000.0] * 50
        and task.frame["fee"].tolist() == [3.75, 1.0, 2.0, 0.5] * 50
    )
    assert "not understood" in task.card.drop["odd"]
