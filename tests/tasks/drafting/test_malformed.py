"""What is no table, or no task, is told: what, where and what to do. Each case is a row in docs/own_data.md."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tasks.card import DataError
from tasks.drafting.draft import draft
from tasks.drafting.guesses import Wishes
from tests.tasks.drafting.test_formats import csv_bytes, staff

LABEL_OF_THREE = staff().assign(hired=["yes", "no", "later"] * 40)


def text(content: str | bytes) -> Callable[[Path], object]:
    data = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(data)


def table(frame: pd.DataFrame) -> Callable[[Path], object]:
    return lambda path: frame.to_csv(path, index=False)


def two_sheets(path: Path) -> None:
    with pd.ExcelWriter(path) as book:
        staff().to_excel(book, sheet_name="staff", index=False)
        staff().to_excel(book, sheet_name="notes", index=False)


def two_members(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", csv_bytes())
        archive.writestr("b.csv", csv_bytes())


def truncated(path: Path) -> None:
    staff().to_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])


def header_twice(path: Path) -> None:
    frame = staff()
    pd.DataFrame([[*frame.columns, "hired"], *([*row, "x"] for row in frame.to_numpy())]).to_excel(
        path, index=False, header=False
    )


CASES: dict[str, tuple[str, Callable[[Path], object], dict[str, object], str]] = {
    "empty file": ("a.csv", text(""), {}, "is empty: it has no bytes"),
    "blanks only": ("a.csv", text("\n \n"), {}, "is empty: it holds no character but blanks"),
    "header only": ("a.csv", text("age,sex,hired\n"), {}, "has 0 rows and 3 columns; a task needs 20 rows"),
    "one column": ("a.csv", text("age\n" + "1\n" * 40), {}, "is not a table: its lines do not hold the same number"),
    "wrong separator": ("a.csv", text("a#b#c\n" + "1#2#3\n" * 40), {}, "with any of , ; tab | : ~ blank"),
    "a line of notes": (
        "a.csv",
        text(b"a,b,c\n" + b"1,2,3\n" * 30 + b"as of May,\n"),
        {},
        "its record 32 has 2 cells where most have 3",
    ),
    "mixed encodings": (
        "a.csv",
        text(csv_bytes() + "170,weiblich,Zürich,yes\n".encode("cp1252")),
        {},
        "mixes encodings: line 1 is UTF-8",
    ),
    "no text": (
        "a.csv",
        text(b"\x7fELF\x02\x01\xff\xfe" + b"ab\xff" * 90 + b"\0"),
        {},
        "is no text: it holds zero bytes",
    ),
    "name twice": (
        "a.csv",
        text(csv_bytes().replace("Büro".encode(), b"hired")),
        {},
        r"2 columns with the name 'hired'",
    ),
    "name twice in a sheet": ("a.xlsx", header_twice, {}, "two columns with the name 'hired'"),
    "label of three values": ("a.csv", table(LABEL_OF_THREE), {"label": "hired"}, "has 3 values .* --positive VALUE"),
    "outcome of three values": (
        "a.csv",
        table(LABEL_OF_THREE.rename(columns={"hired": "outcome"}).assign(Büro=["a", "b", "c"] * 40)),
        {},
        "'outcome' is named like what is to be predicted, but has 3 values",
    ),
    "class 1 unknown": (
        "a.csv",
        table(staff()),
        {"label": "hired", "positive": "Yes"},
        "has no value 'Yes'; it has no",
    ),
    "label constant": ("a.csv", table(staff().assign(hired="yes")), {"label": "hired"}, "has one value .yes 120."),
    "label empty": ("a.csv", table(staff().assign(hired=None)), {"label": "hired"}, "has no value .all empty."),
    "no such column": ("a.csv", table(staff()), {"sensitive": ("sexe",)}, "no column 'sexe'. Did you mean 'Sexe'"),
    "sensitive empty": (
        "a.csv",
        table(staff().assign(Sexe=None)),
        {"sensitive": ("Sexe",)},
        "holds no value in 120 rows",
    ),
    "several sheets": ("a.xlsx", two_sheets, {}, "has 2 sheets: 'staff', 'notes'. Choose one: --sheet NAME"),
    "no such sheet": ("a.xlsx", two_sheets, {"sheet": "Staff"}, "has no sheet 'Staff'; it has 'staff', 'notes'"),
    "no workbook": ("a.xlsx", text("age,sex\n"), {}, "is not a whole .xlsx workbook"),
    "parquet truncated": ("a.parquet", truncated, {}, "is not a whole Parquet file"),
    "feather truncated": ("a.feather", text(b"ARROW1\0\0abc"), {}, "is not a whole Feather file"),
    "gzip truncated": ("a.csv.gz", text(gzip.compress(csv_bytes())[:-20]), {}, "is not a whole .gz file"),
    "zip of several": ("a.zip", two_members, {}, "holds 2 files .'a.csv', 'b.csv'.; unpack it"),
    "ARFF without data": ("a.arff", text("@relation x\n@attribute a numeric\n"), {}, "is no ARFF table"),
    "ARFF, sparse": ("a.arff", text("@relation x\n@attribute a numeric\n@data\n{0 1}\n"), {}, "sparse ARFF rows"),
    "another format": ("a.sav", text("x"), {}, r"\.sav files are not read. Save the table as CSV, Parquet or .xlsx"),
    "a folder": ("a.csv", lambda path: path.mkdir(), {}, "There is no file"),
}


@pytest.mark.parametrize("case", CASES)
def test_malformed_input_is_told(tmp_path: Path, case: str) -> None:
    name, write, wishes, message = CASES[case]
    write(tmp_path / name)
    with pytest.raises(DataError, match=message) as caught:
        draft(tmp_path / name, wishes=Wishes(**wishes))  # type: ignore[arg-type]
    assert len(str(caught.value)) < 800


EDGES = {
    "unknown ids": ("500000 600000\n700000 800000\n", "are in no column of the table whose values are different"),
    "texts": ("anna ben\nben carl\n", "is no list of edges with any of , ; tab blank"),
    "empty": ("", "is no list of edges"),
}


@pytest.mark.parametrize("case", EDGES)
def test_malformed_edges_are_told(tmp_path: Path, case: str) -> None:
    content, message = EDGES[case]
    staff().assign(person=range(1000, 1120)).to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "edges.txt").write_text(content)
    with pytest.raises(DataError, match=message):
        draft(tmp_path / "a.csv", edges=tmp_path / "edges.txt")


def test_rows_without_a_label_leave_and_are_counted(tmp_path: Path) -> None:
    frame = staff()
    frame.loc[:6, "hired"] = None
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert "7 rows without a label leave the task" in draft(tmp_path / "a.csv").text
