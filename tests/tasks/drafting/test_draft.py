"""Cards drafted from tables that fairmoe has never seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foundation.seeding import numpy_generator
from tasks.card import Card, DataError, load_card
from tasks.drafting.draft import draft
from tasks.load import load_task


def people(n: int = 120) -> pd.DataFrame:
    random = numpy_generator(0, "draft")
    return pd.DataFrame(
        {
            "Customer ID": np.arange(1000, 1000 + n),
            "Loan Amount": random.integers(100, 9000, n),
            "Gender": random.choice(["woman", "man"], n),
            "ageYears": random.integers(18, 80, n),
            "region": random.choice(["north", "south, east", "?"], n),
            "country": "Utopia",
            "remark": [f"note {i} about this" for i in range(n)],
            "approved": random.choice(["yes", "no"], n),
        }
    )


def drafted(folder: Path, text: str, name: str = "My loans-2.csv") -> Card:
    (folder / name).write_text(text, encoding="utf-8")
    (folder / "card.toml").write_text(draft(folder / name).text, encoding="utf-8")
    return load_card(folder / "card.toml")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_drafted_card_makes_a_task(tmp_path: Path, separator: str) -> None:
    card = drafted(tmp_path, people().to_csv(index=False, sep=separator))
    assert (card.name, card.rows, card.read.separator) == ("my_loans_2", 120, separator)
    assert card.label.column == "approved" and card.label.positive.equals == ("yes",)
    assert [s.column for s in card.sensitive] == ["Gender", "ageYears"]
    assert {c.name: c.kind for c in card.column} == {
        "Loan Amount": "numeric",
        "Gender": "binary",
        "ageYears": "numeric",
        "region": "categorical" if card.read.missing == () else "binary",
    }
    assert set(card.drop) == {"Customer ID", "country", "remark"} and card.read.missing == ("?",)
    for name in ("", ":ageyears", ":gender+ageyears"):
        task = load_task(f"{tmp_path / 'card.toml'}{name}", progress=False)
        assert len(task.labels) == 120 and int(task.labels.sum()) == int((people()["approved"] == "yes").sum())


def test_the_text_says_what_to_check(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(people().to_csv(index=False))
    text = draft(tmp_path / "a.csv").text
    for line in ("is this what is to be predicted?", "which values are class 1?", "identifier", "licence", "question"):
        assert any("CHECK" in row and line in row for row in text.splitlines()), line


def test_a_draft_asks_a_question(tmp_path: Path) -> None:
    card = drafted(tmp_path, people().to_csv(index=False))
    assert card.text.question == "Is approved yes?" and (card.text.positive, card.text.negative) == ("yes", "no")
    numbers = drafted(tmp_path, people().drop(columns="region").assign(approved=range(120)).to_csv(index=False))
    assert numbers.text.question == "Is approved above 59.5?"


def test_without_header_and_with_blanks(tmp_path: Path) -> None:
    card = drafted(tmp_path, people().drop(columns="remark").to_csv(index=False, header=False).replace(",", ", "))
    assert card.read.strip and not card.read.header and card.read.names[0] == "column_0"
    assert load_task(str(tmp_path / "card.toml"), progress=False).group_names


def test_missing_labels_and_groups_leave_the_task(tmp_path: Path) -> None:
    table = people()
    table.loc[:4, "approved"] = None
    table.loc[7:9, "Gender"] = None
    drafted(tmp_path, table.to_csv(index=False))
    assert len(load_task(str(tmp_path / "card.toml"), progress=False).labels) == 120 - 5 - 3


def test_the_card_may_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "cards").mkdir()
    (tmp_path / "data" / "a.csv").write_text(people().to_csv(index=False))
    (tmp_path / "cards" / "card.toml").write_text(draft(tmp_path / "data" / "a.csv", tmp_path / "cards").text)
    assert len(load_task(str(tmp_path / "cards" / "card.toml"), progress=False).labels) == 120


def test_awkward_names_are_quoted(tmp_path: Path) -> None:
    table = people().rename(columns={"Gender": 'sex "at birth" \\ ü', "approved": "1. outcome\t?"})
    assert drafted(tmp_path, table.to_csv(index=False)).sensitive[0].column == 'sex "at birth" \\ ü'


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a\nb\n", "not a table"), ("a,b,c\n1,2,3\n", "needs 20 rows"), ("a,b\n" + "1,2\n" * 50, "3 columns")],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=reason):
        draft(tmp_path / "a.csv")
    with pytest.raises(DataError, match="no file"):
        draft(tmp_path / "b.csv")


def rows(n: int = 60, **columns: object) -> pd.DataFrame:
    """Sex, age, pay and approved, and further columns in front of them."""
    random = numpy_generator(0, "rows")
    usual = {
        "sex": random.choice(["f", "m"], n),
        "age": random.integers(18, 80, n),
        "pay": random.integers(1000, 9000, n) / 4,
        "approved": random.integers(0, 2, n),
    }
    return pd.DataFrame({**{k: v for k, v in columns.items() if k not in usual}, **usual, **columns})


def checks(folder: Path, table: pd.DataFrame | str, **options: object) -> tuple[Card, list[str]]:
    """The drafted card, which makes a task, and its lines marked CHECK."""
    card = drafted(folder, table if isinstance(table, str) else table.to_csv(index=False, **options))
    load_task(str(folder / "card.toml"), progress=False)
    return card, [line for line in (folder / "card.toml").read_text().split("\n") if "CHECK" in line]


def test_columns_named_by_years_are_names(tmp_path: Path) -> None:
    table = rows().rename(columns={"age": "2021", "pay": "2022"})
    card, marked = checks(tmp_path, table)
    assert card.read.header and card.rows == 60 and card.label.column == "approved"
    assert any(line.startswith("header = true") and '"2021"' in line for line in marked)
    for names in (table.columns, ["f", "2021", "2022", "2023"]):  # years alone: no name says that it is one
        text = table.assign(approved=table["approved"].map({0: "no", 1: "yes"})).set_axis(names, axis=1)
        assert checks(tmp_path, text)[0].read.header


def test_a_first_line_of_numbers_is_a_row_and_marked(tmp_path: Path) -> None:
    card, marked = checks(tmp_path, rows(), header=False)
    assert not card.read.header and card.rows == 60
    assert any(line.startswith("header = false") for line in marked)


def test_words_that_are_categories_elsewhere_stay_categories(tmp_path: Path) -> None:
    zones, creeds = ["NA", "EU", "AP"] * 20, ["None", "Muslim", "Christian"] * 20
    card, marked = checks(tmp_path, rows(religion=creeds, zone=zones))
    assert card.read.missing == () and load_task(str(tmp_path / "card.toml"), progress=False).group_names == ("f", "m")
    task = load_task(f"{tmp_path / 'card.toml'}:religion", progress=False)
    assert len(task.labels) == 60 and set(task.group_names) == {"None", "Muslim", "Christian"}
    assert any('"NA" is a value like others, 20 cells of "zone"' in line for line in marked)
    assert any('"None" is a value like others, 20 cells of "religion"' in line for line in marked)


def test_words_among_numbers_mean_missing_and_are_counted(tmp_path: Path) -> None:
    pay = [str(value) if i % 10 else "NA" for i, value in enumerate(rows()["pay"])]
    card, marked = checks(tmp_path, rows(pay=pay, job=["?", "cook", "NA"] * 20))
    assert card.read.missing == ("?", "NA")
    line = next(line for line in marked if line.startswith("missing ="))
    assert '"?": 20 cells of "job"' in line and '"NA": 20 cells of "job", 6 of "pay"' in line


def test_rows_that_leave_for_label_or_group_are_counted(tmp_path: Path) -> None:
    table = rows().astype({"approved": "object"})
    table.loc[:4, "approved"] = None
    table.loc[7:9, "sex"] = None
    _, marked = checks(tmp_path, table)
    assert any("5 rows without a label" in line for line in marked)
    assert any("3 rows without a value" in line for line in marked)


def test_labels_of_stacked_tables_are_one_label(tmp_path: Path) -> None:
    income = [[" <=50K", " >50K", " <=50K.", " >50K."][i % 4] for i in range(60)]
    table = rows(hours=range(60)).drop(columns="approved").assign(income=income)
    card, marked = checks(tmp_path, table)
    assert card.label.column == "income" and card.label.positive.equals == (">50K",)
    assert load_task(str(tmp_path / "card.toml"), progress=False).labels.tolist() == [0, 1] * 30
    assert any(line.startswith("strip_suffix") for line in marked)


def test_a_column_named_like_a_label_that_is_not_chosen_is_named(tmp_path: Path) -> None:
    _, marked = checks(tmp_path, rows(outcome=["a", "b", "c"] * 20))
    assert any('to be predicted? Not "outcome"?' in line for line in marked)


def test_attributes_have_different_short_names(tmp_path: Path) -> None:
    card, _ = checks(tmp_path, rows(Race=["A", "B"] * 30, race=["P", "P", "Q"] * 20))
    assert {s.name: s.column for s in card.sensitive} == {"sex": "sex", "race": "Race", "race_2": "race", "age": "age"}
    assert load_task(f"{tmp_path / 'card.toml'}:race_2", progress=False).group_names == ("P", "Q")


@pytest.mark.parametrize(
    "name", ["termination", "nationwide", "racecourse", "average", "mortgage", "essex", "passenger"]
)
def test_names_that_only_contain_a_word_are_not_sensitive(tmp_path: Path, name: str) -> None:
    card, _ = checks(tmp_path, rows().rename(columns={"approved": name}))
    assert card.label.column == name and [s.column for s in card.sensitive] == ["sex", "age"]


@pytest.mark.parametrize(
    "name", ["ageYears", "AGE", "worker age", "applicantGender", "nationality", "RACE_1", "sex_code"]
)
def test_names_of_sensitive_attributes_are_found(tmp_path: Path, name: str) -> None:
    card, _ = checks(tmp_path, rows().drop(columns="sex").rename(columns={"age": name}))
    assert [s.column for s in card.sensitive] == [name]


def test_dropped_columns_are_marked_with_what_they_held(tmp_path: Path) -> None:
    table = rows(
        empty=[None] * 60, const=["k"] * 60, mostly=["yes", None, None] * 20, code=[f"c{i}" for i in range(60)]
    )
    card, marked = checks(tmp_path, table)
    assert set(card.drop) == {"empty", "const", "code"} and all(why.startswith("CHECK") for why in card.drop.values())
    assert "'k' in all 60 rows" in card.drop["const"] and "empty in all 60 rows" in card.drop["empty"]
    assert any("one value, and 40 empty cells" in line for line in marked)
    task = load_task(str(tmp_path / "card.toml"), progress=False)
    assert task.features[:, task.feature_names.index("mostly=yes")].tolist() == [1.0, 0.0, 0.0] * 20


@pytest.mark.parametrize(
    "cells", [["25.983,54", "1,5"], ["0,65", "3"], ["32.1%", "4%"], ["$1,200", "$90"], ["1,234", "7"]]
)
def test_numbers_in_another_notation_are_told(tmp_path: Path, cells: list[str]) -> None:
    card, _ = checks(tmp_path, rows(quote=cells * 30), sep=";")
    assert "60 cells are numbers that are not understood" in card.drop["quote"] and cells[0] in card.drop["quote"]


def test_blanks_at_the_end_make_no_second_group(tmp_path: Path) -> None:
    card, marked = checks(tmp_path, rows(sex=["Male ", "Male", "Female", "female"] * 15))
    assert card.read.strip and {g.name for g in card.sensitive[0].groups} == {"Male", "Female", "female"}
    assert any("blanks are cut, 15 cells of" in line for line in marked)
    assert any('one group or several? "Female" and "female"' in line for line in marked)


def test_line_ends_in_cells_are_no_line_ends(tmp_path: Path) -> None:
    note = ["line one\nline two", "a\u2028b", "x\x85y", "plain"] * 15
    card, _ = checks(tmp_path, rows(note=note).rename(columns={"age": "age (in\nyears)"}))
    task = load_task(str(tmp_path / "card.toml"), progress=False)
    assert card.rows == 60 and task.frame["note"].tolist() == note


@pytest.mark.parametrize("cell", ["inf", "-inf", "1e200", "1.7976931348623157e+308"])
def test_cells_that_no_feature_can_hold_are_marked_as_missing(tmp_path: Path, cell: str) -> None:
    pay = [str(value) if i % 20 else cell for i, value in enumerate(rows()["pay"])]
    _, marked = checks(tmp_path, rows(pay=pay, age=[cell, *map(str, rows()["age"][1:])]))
    assert sum("cells that no feature can hold" in line for line in marked) == 2
    assert any("1 rows without a value" in line for line in marked)


@pytest.mark.parametrize("holed", [False, True])
def test_long_ids_are_told_as_such(tmp_path: Path, holed: bool) -> None:
    person = [str(900719925474099300 + i // 2) for i in range(60)]
    card, _ = checks(tmp_path, rows(person=["" if holed and i < 2 else p for i, p in enumerate(person)]))
    assert f"{29 if holed else 30} different ones" in card.drop["person"] and "split_unit" in card.drop["person"]


def test_the_group_of_all_others_gets_a_name_that_is_no_value(tmp_path: Path) -> None:
    table = people(240)
    table["ethnicity"] = numpy_generator(1, "draft").choice(["all others", *"PQRSTUV"], len(table))
    table.loc[:120, "ethnicity"] = "all others"  # so that it is among the groups that are kept
    card = drafted(tmp_path, table.to_csv(index=False))
    (ethnicity,) = [s for s in card.sensitive if s.column == "ethnicity"]
    assert "all others" in [g.name for g in ethnicity.groups] and ethnicity.other == "all others too"
    task = load_task(f"{tmp_path / 'card.toml'}:ethnicity", progress=False)
    assert len(set(task.group_names)) == len(task.group_names) == 7


def test_combined_groups_of_one_name_are_refused(tmp_path: Path) -> None:
    table = people(160)
    table["Gender"] = numpy_generator(2, "draft").choice(["a", "a & b"], len(table))
    table["ethnicity"] = numpy_generator(3, "draft").choice(["b & c", "c"], len(table))
    drafted(tmp_path, table.to_csv(index=False))
    with pytest.raises(DataError, match="Two groups of 'my_loans_2' are both called 'a & b & c'"):
        load_task(f"{tmp_path / 'card.toml'}:gender+ethnicity", progress=False)
