"""Reading, filtering, labelling and grouping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.card import DataError, Rule
from tasks.fetch import fetch
from tasks.frame import assemble, read_frame
from tasks.values import as_numbers, as_words, matches, word
from tests.tasks.toys import own_card, toy_card, toy_raw, toy_table


def csv(n: int = 40) -> str:
    return toy_table(n).to_csv(index=False)


def read(folder: Path, text: str, attributes: tuple[str, ...] = ("sex",), **changes: Any) -> Any:
    card = own_card(folder, text, **{"rows": 40, **changes})
    return read_frame(card, fetch(card), attributes)


def test_labels_groups_and_rows_are_those_of_the_table() -> None:
    table, raw = toy_table(), toy_raw(attributes=("sex", "race"))
    assert raw.labels.tolist() == table["y"].tolist() and raw.rows.tolist() == list(range(200))
    race = table["race"].map({"b": "Black", "w": "white"}).fillna("other")
    names = [f"{'female' if s == 'F' else 'male'} & {r}" for s, r in zip(table["sex"], race, strict=True)]
    assert [raw.group_names[g] for g in raw.groups] == names
    assert raw.group_names == tuple(f"{s} & {r}" for s in ("female", "male") for r in ("Black", "white", "other"))


def test_only_combinations_that_occur_are_groups_and_the_others_are_named() -> None:
    table = toy_table()
    table = table[~((table["sex"] == "F") & (table["race"] == "b"))].reset_index(drop=True)
    raw = assemble(toy_card(rows=len(table)), ("sex", "race"), table)
    assert raw.unseen_groups == ("female & Black",) and "female & Black" not in raw.group_names
    assert np.unique(raw.groups).tolist() == list(range(5)) == list(range(len(raw.group_names)))


def test_codes_and_empty_cells_are_missing() -> None:
    table, raw = toy_table(), toy_raw()
    assert raw.frame["age"].isna().tolist() == (table["age"] == -9).tolist()
    assert raw.frame["job"].isna().tolist() == table["job"].isna().tolist()


def test_filters_and_missing_sensitive_values_are_counted() -> None:
    keep = [{"column": "race", "equals": ["b", "w"], "why": "two races"}]
    table, raw = toy_table(), toy_raw(keep=keep)
    stay = table["race"].isin(["b", "w"])
    assert raw.left == {"two races": int((~stay).sum())}
    assert raw.rows.tolist() == np.flatnonzero(stay).tolist()


def test_csv_dialect_empty_cells_suffix_and_junk_line(tmp_path: Path) -> None:
    table = toy_table(40)
    table["y"] = table["y"].map({0: "no.", 1: "yes."})
    text = "|1x3 Cross validator\n" + table.to_csv(index=False, sep=";", header=False).replace(";", "; ")
    raw = read(
        tmp_path,
        text,
        read={
            "separator": ";",
            "header": False,
            "names": list(table.columns),
            "skip_rows": [1],
            "strip": True,
            "strip_suffix": ".",
        },
        label={"column": "y", "positive": {"equals": ["yes"]}, "meaning": "one", "negative_meaning": "zero"},
    )
    assert raw.labels.tolist() == toy_table(40)["y"].tolist()
    assert raw.frame["job"].isna().tolist() == table["job"].isna().tolist()


def test_a_missing_column_is_named_with_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'race'.*It has: age, sex, colour, job, hours, y"):
        read(tmp_path, csv().replace("race", "colour"))


def test_a_wrong_number_of_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="have 40 rows, the card says 41"):
        read(tmp_path, csv(), rows=41)


def test_a_label_with_one_class_is_refused() -> None:
    with pytest.raises(DataError, match=r"have label 1.*holds 1"):
        assemble(toy_card(), ("sex",), toy_table().assign(y=1))


def test_one_group_is_refused() -> None:
    with pytest.raises(DataError, match="one group, 'female'"):
        assemble(toy_card(), ("sex",), toy_table().assign(sex="F"))


def test_an_empty_label_is_refused_unless_the_card_says_so() -> None:
    table = toy_table()
    table["y"] = table["y"].where(table.index != 3)
    with pytest.raises(DataError, match=r"'y'.*empty in 1 rows.*unlabelled"):
        assemble(toy_card(), ("sex",), table)
    label = {**toy_card().label.model_dump(), "positive": {"equals": [1]}, "unlabelled": [""]}
    raw = assemble(toy_card(label=label), ("sex",), table)
    assert raw.left == {"no label": 1} and 3 not in raw.rows


def test_an_empty_sensitive_value_is_refused_unless_the_card_says_so() -> None:
    table = toy_table()
    table["sex"] = pd.Series(table["sex"], dtype="str").where(table.index != 3)
    with pytest.raises(DataError, match=r"'sex'.*empty in 1 rows.*leave.*other"):
        assemble(toy_card(), ("sex",), table)
    raw = toy_raw(attributes=("age",))
    assert raw.left == {"in no group of age": int((toy_table()["age"] == -9).sum())}


def test_overlapping_groups_are_refused() -> None:
    groups = [{"name": "low", "at_most": 50}, {"name": "high", "at_least": 50}]
    sensitive = [{"name": "hours", "column": "hours", "groups": groups}]
    with pytest.raises(DataError, match="in two groups"):
        assemble(toy_card(sensitive=sensitive, default_sensitive="hours"), ("hours",), toy_table().assign(hours=50.0))


@pytest.mark.parametrize(("cell", "reason"), [("many", "declared numeric but holds 'many'"), ("inf", "infinite")])
def test_text_in_a_numeric_column_is_refused(tmp_path: Path, cell: str, reason: str) -> None:
    lines = csv().splitlines()
    lines[5] = ",".join([*lines[5].split(",")[:4], cell, lines[5][-1]])
    with pytest.raises(DataError, match=reason):
        read(tmp_path, "\n".join(lines) + "\n")


def test_three_values_in_a_binary_column_are_refused() -> None:
    columns = [{"name": "race", "kind": "binary", "text": "race"}]
    with pytest.raises(DataError, match="declared binary but holds b, w, x, z"):
        assemble(toy_card(column=columns), ("sex",), toy_table())


@pytest.mark.parametrize(
    ("values", "wanted", "hit"),
    [
        ([1, 2, 3], (1, "3"), [True, False, True]),
        ([1.0, 2.5, float("nan")], ("1", 2.5), [True, True, False]),
        (["1", "2", "a"], (1, "a"), [True, False, True]),
        ([True, False, True], ("True",), [True, False, True]),
    ],
)
def test_equal_values_match_whatever_their_type(values: list[Any], wanted: tuple[Any, ...], hit: list[bool]) -> None:
    assert matches(pd.Series(values), Rule(equals=wanted)).tolist() == hit


def test_bounds_may_be_combined_and_no_missing_value_passes() -> None:
    values = pd.Series([1.0, 2.0, 3.0, np.nan])
    assert matches(values, Rule(at_least=2, below=3)).tolist() == [False, True, False, False]
    assert matches(values, Rule(above=1, at_most=3)).tolist() == [False, True, True, False]


def test_canonical_values() -> None:
    assert [word(v) for v in (3, 3.0, np.int64(3), "3", 2.5, True)] == ["3", "3", "3", "3", "2.5", "1"]
    assert list(as_words(pd.Series([10.0, 9.0, np.nan, 10.0])).cat.categories) == ["9", "10"], "numbers sort by value"
    assert as_numbers(pd.Series(["1", "-9", "?"]), ("?", -9)).tolist()[0] == 1.0
    assert as_numbers(pd.Series(["1", "-9", "?"]), ("?", -9)).isna().tolist() == [False, True, True]
