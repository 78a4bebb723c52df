"""Reading, filtering, labelling and grouping."""

from __future__ import annotations

import hashlib
from datetime import date
from decimal import Decimal
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


def test_rows_longer_than_the_names_are_refused_not_cut(tmp_path: Path) -> None:
    first, *lines = csv().splitlines()
    with pytest.raises(DataError, match=r"own.csv of 'toy' cannot be read as csv: .*loss of data"):
        read(tmp_path, "\n".join([first, *(f"{line},7" for line in lines)]) + "\n")


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


@pytest.mark.parametrize(
    ("values", "wanted", "hit"),
    [
        ([Decimal("1.00"), Decimal("0.00"), None], (1,), [True, False, False]),
        ([Decimal("2.50"), Decimal("100"), None], (2.5, "1E2"), [True, True, False]),
        ([True, None, False], ("True",), [True, False, False]),
        ([True, None, False], (0,), [False, False, True]),
        ([900719925474099301, None, 900719925474099302], ("900719925474099301",), [True, False, False]),
        ([float("inf"), 1.0, float("-inf")], ("Infinity",), [True, False, False]),
    ],
)
def test_numbers_of_any_type_are_found(values: list[Any], wanted: tuple[Any, ...], hit: list[bool]) -> None:
    assert (
        matches(pd.Series(values, dtype=None if None not in values else "object"), Rule(equals=wanted)).tolist() == hit
    )


def test_a_rule_on_truth_values_does_not_depend_on_an_empty_cell(tmp_path: Path) -> None:
    table = toy_table(40)
    table["y"] = table["y"].map({0: "False", 1: "True"})
    label = {"column": "y", "positive": {"equals": ["True"]}, "meaning": "one", "negative_meaning": "zero"}
    full = read(tmp_path, table.to_csv(index=False), label=label)
    table.loc[3, "y"] = None
    holed = read(tmp_path, table.to_csv(index=False), label={**label, "unlabelled": [""]})
    assert full.labels.tolist() == toy_table(40)["y"].tolist()
    assert holed.labels.tolist() == np.delete(full.labels, 3).tolist() and holed.left == {"no label": 1}


def test_codes_of_truth_values_and_decimals_are_missing_whatever_their_type() -> None:
    sure = as_words(pd.Series([True, None, False], dtype="object"), ("False",))
    assert sure.isna().tolist() == [False, True, True] and list(sure.cat.categories) == ["1"]
    prices = pd.Series([Decimal("9.50"), Decimal("-1.00"), None], dtype="object")
    assert as_words(prices, (-1,)).isna().tolist() == [False, True, True]
    assert as_numbers(prices, ("-1",)).isna().tolist() == [False, True, True]


@pytest.mark.parametrize("holed", [False, True])
def test_long_ids_keep_all_their_digits(tmp_path: Path, holed: bool) -> None:
    table = toy_table(40)
    person = [str(900719925474099300 + row // 2) for row in range(40)]
    table["person"] = ["" if holed and row in (0, 1) else name for row, name in enumerate(person)]
    raw = read(tmp_path, table.to_csv(index=False), split_unit="person")
    assert raw.units is not None
    assert [int((raw.units == unit).sum()) for unit in np.unique(raw.units)] == [2] * 20


def parquet_card(folder: Path, table: Any, **changes: Any) -> Any:
    import pyarrow.parquet as pq

    pq.write_table(table, folder / "own.parquet")
    data = (folder / "own.parquet").read_bytes()
    file = {"name": "own.parquet", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    return toy_card(**{"rows": 40, "file": [file], "read": {"format": "parquet"}, **changes})


def read_parquet(folder: Path, columns: dict[str, Any], **changes: Any) -> Any:
    import pyarrow as pa

    table = pa.Table.from_pandas(toy_table(40), preserve_index=False)
    for name, cells in columns.items():
        table = table.append_column(name, cells) if name not in table.column_names else table.set_column(
            table.column_names.index(name), name, cells
        )  # fmt: skip
    card = parquet_card(folder, table, **changes)
    return read_frame(card, {"own.parquet": folder / "own.parquet"}, ("sex",))


def test_parquet_decimals_truth_values_and_long_ids(tmp_path: Path) -> None:
    import pyarrow as pa

    y = toy_table(40)["y"].tolist()
    ids = [None if row in (0, 1) else 900719925474099300 + row // 2 for row in range(40)]
    raw = read_parquet(
        tmp_path,
        {"y": pa.array([Decimal(v) for v in y], pa.decimal128(3, 2)), "person": pa.array(ids, pa.int64())},
        split_unit="person",
    )
    assert raw.labels.tolist() == y and len(np.unique(raw.units)) == 20
    label = {"column": "y", "positive": {"equals": ["True"]}, "meaning": "one", "negative_meaning": "zero"}
    truth = pa.array([None if row == 5 else bool(v) for row, v in enumerate(y)])
    raw = read_parquet(tmp_path, {"y": truth}, label={**label, "unlabelled": [""]})
    assert raw.labels.tolist() == y[:5] + y[6:]


def test_parquet_codes_of_missing_are_found_in_columns_of_numbers(tmp_path: Path) -> None:
    raw = read_parquet(tmp_path, {}, read={"format": "parquet", "missing": ["-9"]}, column=[
        {"name": "age", "kind": "numeric", "text": "age"}
    ])  # fmt: skip
    assert raw.frame["age"].isna().tolist() == (toy_table(40)["age"] == -9).tolist()


def test_parquet_columns_that_are_no_cells_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa

    with pytest.raises(DataError, match=r"'job' of own.parquet .* holds list"):
        read_parquet(tmp_path, {"job": pa.array([[1, 2]] * 40)})
    with pytest.raises(DataError, match="'hours' is declared numeric but holds"):
        read_parquet(tmp_path, {"hours": pa.array([date(2024, 1, 1)] * 40)})


@pytest.mark.parametrize("cell", ["inf", "-inf", "1e200", "1.7976931348623157e+308", "4e38"])
@pytest.mark.parametrize("where", ["column", "read"])
def test_the_remedy_for_infinite_and_huge_cells_works(tmp_path: Path, cell: str, where: str) -> None:
    table = toy_table(40).astype({"hours": "str"})
    table.loc[5, "hours"] = cell
    with pytest.raises(DataError, match=r"'hours' holds .* in 1 cells .*missing = \[") as refusal:
        read(tmp_path, table.to_csv(index=False))
    code = str(refusal.value).split("missing = [")[1].split("]")[0].strip('"')
    columns = [c.model_dump(mode="json") for c in toy_card().column]
    columns[-1]["missing"] = [code] if where == "column" else []
    raw = read(tmp_path, table.to_csv(index=False), column=columns, read={"missing": [cell] if where == "read" else []})
    assert np.flatnonzero(raw.frame["hours"].isna()).tolist() == [5]


def test_a_code_written_otherwise_means_the_same_number() -> None:
    assert as_numbers(pd.Series([1.0, np.inf, -np.inf]), ("Infinity", "-inf")).isna().tolist() == [False, True, True]


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
