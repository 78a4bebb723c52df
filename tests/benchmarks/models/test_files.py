"""Files of raw rows: the same rows whatever the separator, packing and format, and errors that name the file."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.models.files import RowsFileError, read_rows
from tasks.task import Task

Toy = tuple[Task, pd.DataFrame]


def read(path: Path, toy: Toy, chunk: int = 1000) -> pd.DataFrame:
    task, _ = toy
    return pd.concat(list(read_rows(str(path), task.card, task.encoder, chunk)), ignore_index=True)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("packed", [False, True])
def test_separators_and_packing(toy: Toy, tmp_path: Path, separator: str, packed: bool) -> None:
    _, raw = toy
    text = raw.to_csv(index=False, sep=separator).encode("utf-8-sig")
    path = tmp_path / ("rows.csv.gz" if packed else "rows.csv")
    path.write_bytes(gzip.compress(text) if packed else text)
    found = read(path, toy)
    assert list(found.columns) == list(raw.columns) and len(found) == len(raw)
    assert found["age"].tolist() == raw["age"].tolist() and found["job"].isna().sum() == raw["job"].isna().sum()


def test_parts_are_the_whole(toy: Toy, tmp_path: Path) -> None:
    _, raw = toy
    raw.to_csv(tmp_path / "rows.csv", index=False)
    raw.to_parquet(tmp_path / "rows.parquet", index=False)
    whole = read(tmp_path / "rows.csv", toy)
    pd.testing.assert_frame_equal(read(tmp_path / "rows.csv", toy, chunk=7), whole, check_dtype=False)
    pd.testing.assert_frame_equal(read(tmp_path / "rows.parquet", toy, chunk=7), whole, check_dtype=False)


@pytest.mark.parametrize("name", ["rows.xlsx", "rows.feather", "rows.csv.bz2", "rows.csv.xz", "rows.csv.zip"])
def test_formats_that_a_card_can_be_drafted_from(toy: Toy, tmp_path: Path, name: str) -> None:
    _, raw = toy
    path = tmp_path / name
    if path.suffix == ".xlsx":
        raw.to_excel(path, index=False)
    elif path.suffix == ".feather":
        raw.to_feather(path)
    else:
        raw.to_csv(path, index=False)
    raw.to_csv(tmp_path / "plain.csv", index=False)
    whole = read(tmp_path / "plain.csv", toy)
    pd.testing.assert_frame_equal(read(path, toy, chunk=7), whole, check_dtype=False, check_column_type=False)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8"])
def test_encodings(toy: Toy, tmp_path: Path, encoding: str) -> None:
    (tmp_path / "rows.csv").write_bytes("age;sex;race;job;größe\n31;F;b;Köchin;1\n".encode(encoding))
    found = read(tmp_path / "rows.csv", toy)
    assert found["job"].tolist() == ["Köchin"] and "größe" in found.columns


def test_the_decimal_sign_is_the_cards(toy: Toy, tmp_path: Path) -> None:
    task, _ = toy
    (tmp_path / "rows.csv").write_text("age;sex;hours\n31,5;F;2,25\n40;M;7\n")
    comma = task.card.model_copy(update={"read": task.card.read.model_copy(update={"decimal": ","})})
    (found,) = read_rows(str(tmp_path / "rows.csv"), comma, task.encoder)
    assert found["age"].tolist() == [31.5, 40] and found["hours"].tolist() == [2.25, 7]


def test_numbers_among_words_stay_words(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("age,sex,race,job,hours,zip\n31,F,b,01,2.0,01\n")
    found = read(tmp_path / "rows.csv", toy)
    assert found["job"].tolist() == ["01"]  # training rows have words there
    assert found["age"].tolist() == [31] and found["hours"].tolist() == [2.0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "There is no file"),
        ("empty.csv", b"", "is empty"),
        ("head.csv", b"age,sex\n", "has no rows"),
        ("mixed.csv", "age,sex\n1,größe\n".encode() + "2,größe\n".encode("latin-1"), "mixes encodings"),
        ("program.csv", b"\x7fELF, a program of\x00 some \xff kind", "is no text"),
        ("old.xls", b"\xd0\xcf", ".xls files are not read"),
        ("long.csv", b"age,sex\n1,F,3\n", "cannot be read as a table"),
        ("cut.csv.gz", gzip.compress(b"age,sex\n" + b"1,F\n" * 5000, mtime=0)[:-30], "Compressed file ended"),
        ("broken.parquet", b"PAR1 no more", "is not a whole Parquet file"),
        ("none.parquet", None, "There is no file"),
    ],
)
def test_files_that_cannot_be_read_are_named(
    toy: Toy, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RowsFileError, match=message) as error:
        read(tmp_path / name, toy)
    assert name in str(error.value) and "\n" not in str(error.value)
