"""Cards drafted from tables that fairmoe has never seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foundation.seeding import numpy_generator
from tasks.card import Card, DataError, load_card
from tasks.draft import draft_card
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
    (folder / "card.toml").write_text(draft_card(folder / name), encoding="utf-8")
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
    text = draft_card(tmp_path / "a.csv")
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
    (tmp_path / "cards" / "card.toml").write_text(draft_card(tmp_path / "data" / "a.csv", tmp_path / "cards"))
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
        draft_card(tmp_path / "a.csv")
    with pytest.raises(DataError, match="no file"):
        draft_card(tmp_path / "b.csv")


def test_the_group_of_all_others_gets_a_name_that_is_no_value(tmp_path: Path) -> None:
    table = people(240)
    table["ethnicity"] = numpy_generator(1, "draft").choice(["all others", *"PQRSTUV"], len(table))
    table.loc[:120, "ethnicity"] = "all others"  # so that it is among the groups that are kept
    card = drafted(tmp_path, table.to_csv(index=False))
    (ethnicity,) = [s for s in card.sensitive if s.column == "ethnicity"]
    assert "all others" in [g.name for g in ethnicity.groups] and ethnicity.other == "all others (2)"
    task = load_task(f"{tmp_path / 'card.toml'}:ethnicity", progress=False)
    assert len(set(task.group_names)) == len(task.group_names) == 7


def test_combined_groups_of_one_name_are_refused(tmp_path: Path) -> None:
    table = people(160)
    table["Gender"] = numpy_generator(2, "draft").choice(["a", "a & b"], len(table))
    table["ethnicity"] = numpy_generator(3, "draft").choice(["b & c", "c"], len(table))
    drafted(tmp_path, table.to_csv(index=False))
    with pytest.raises(DataError, match="Two groups of 'my_loans_2' are both called 'a & b & c'"):
        load_task(f"{tmp_path / 'card.toml'}:gender+ethnicity", progress=False)
