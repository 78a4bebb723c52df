"""Files of raw rows: the same rows whatever the separator, packing and format, and errors that name the file."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.models.error import WrongTypeError
from benchmarks.models.files import RowsFileError, read_rows
from benchmarks.models.rows import cleaned
from tasks.drafting.draft import draft
from tasks.drafting.guesses import Wishes
from tasks.load import load_task
from tasks.task import Task
from tests.benchmarks.models.conftest import rows

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


def published(folder: Path, separator: str, encoding: str, thousands: bool = False) -> tuple[Task, pd.DataFrame]:
    """A task whose card was drafted from a file with decimal commas, and its raw rows."""
    raw = rows()
    raw["hours"] = raw["hours"].where(raw["hours"] < 900, (raw["hours"] * 1000).round())
    raw["job"] = raw["job"].replace("cook", "Köchin")
    written = raw.copy()
    written["hours"] = [f"{value:,.1f}" if thousands else f"{value:.1f}" for value in written["hours"]]
    written["hours"] = written["hours"].str.translate(str.maketrans(",.", ".,"))
    path = folder / "own.csv"
    path.write_bytes(written.to_csv(index=False, sep=separator).encode(encoding))
    card = draft(path, wishes=Wishes("y", "1", ("sex",))).text
    (folder / "card.toml").write_text(card, encoding="utf-8")
    task = load_task(str(folder / "card.toml"), progress=False)
    return task, raw.iloc[task.rows.numpy()].reset_index(drop=True)


@pytest.mark.parametrize(("separator", "encoding"), [(";", "cp1252"), ("\t", "utf-16"), (",", "utf-8")])
@pytest.mark.parametrize("thousands", [False, True])
def test_the_file_of_the_card_gives_the_rows_of_the_task(
    tmp_path: Path, separator: str, encoding: str, thousands: bool
) -> None:
    task, raw = published(tmp_path, separator, encoding, thousands)
    assert task.card.read.decimal == "," and task.card.read.thousands == ("." if thousands else "")
    np.testing.assert_allclose(task.frame["hours"], raw["hours"])
    found = read(tmp_path / "own.csv", (task, raw), chunk=77)
    encoded = task.encoder.encode(cleaned(found, [c.name for c in task.encoder.columns], task.card, task.name))
    assert torch.equal(encoded[task.rows], task.features)


def test_a_decimal_point_is_understood_where_the_card_has_a_comma(tmp_path: Path) -> None:
    task, raw = published(tmp_path, ";", "cp1252")
    raw.to_csv(tmp_path / "new.csv", index=False)
    assert read(tmp_path / "new.csv", (task, raw))["hours"].tolist() == raw["hours"].tolist()
    raw.head(1).assign(hours="4.000").to_csv(tmp_path / "one.csv", index=False, sep=";")
    with pytest.raises(WrongTypeError, match=r"column 'hours', row 1 holds '4.000'.*decimal sign ','"):
        read(tmp_path / "one.csv", (task, raw))


PACKERS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("kind", [*PACKERS, "zip", "parquet", "feather", "xlsx", "arff"])
def test_every_format_that_a_card_is_drafted_from(toy: Toy, tmp_path: Path, kind: str) -> None:
    _, raw = toy
    path, text = tmp_path / f"rows.csv.{kind}", raw.to_csv(index=False).encode()
    if kind in PACKERS:
        path.write_bytes(PACKERS[kind](text))
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("rows.csv", text)
    else:
        path = tmp_path / f"rows.{kind}"
        _write_typed(raw, path)
    found = read(path, toy, chunk=7)
    assert found["age"].tolist() == raw["age"].tolist()
    assert found["job"].fillna("").tolist() == raw["job"].fillna("").tolist()


def _write_typed(raw: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".arff":
        kinds = {n: "numeric" if pd.api.types.is_numeric_dtype(raw[n]) else "string" for n in raw.columns}
        head = "@relation rows\n" + "".join(f"@attribute {name} {kind}\n" for name, kind in kinds.items())
        path.write_text(f"{head}@data\n{raw.to_csv(index=False, header=False, na_rep='?')}")
    elif path.suffix == ".xlsx":
        raw.to_excel(path, index=False)
    else:
        getattr(raw, f"to_{path.suffix[1:]}")(path)


def test_leading_lines_of_the_published_file_may_be_there(toy: Toy, tmp_path: Path) -> None:
    task, raw = toy
    card = task.card.model_copy(update={"read": task.card.read.model_copy(update={"skip_rows": (1,)})})
    text = raw.to_csv(index=False)
    for name, content in (("with.csv", f"|notes of the office\n{text}"), ("without.csv", text)):
        (tmp_path / name).write_text(content)
        found = pd.concat(list(read_rows(str(tmp_path / name), card, task.encoder)), ignore_index=True)
        assert found["age"].tolist() == raw["age"].tolist()


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
        ("mixed.csv", "age,sex\n1,größe\n".encode("latin-1") + "1,größe\n".encode(), "mixes encodings"),
        ("rows.sav", b"$FL2", ".sav files are not read"),
        ("rows.xlsx", b"PK no more", "is not a whole .xlsx workbook"),
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
