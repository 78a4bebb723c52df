"""Raw rows of users from files or the standard input, in parts of bounded size, typed as the model's data were.

What the card says of its file comes first: separator, encoding, decimal sign, words for missing. What this file has
otherwise is found out.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pandas as pd

from benchmarks.models.error import RowsError, WrongTypeError
from tasks.card import Card, DataError, Read
from tasks.encode import ColumnEncoder, Encoder
from tasks.formats.arrow import parquet_parts
from tasks.formats.opened import encoding_in, unpacked
from tasks.formats.reading import format_of, read_table
from tasks.formats.text_parts import first_cells, first_lines, text_parts
from tasks.formats.workbook import sheets_in
from tasks.formats.written import POINT, Writing, as_point, understood, writing_of
from tasks.values import is_numeric

STANDARD = "-"
"""Name of the standard input and output."""
CHUNK = 50_000
"""Rows that are read and predicted at once."""
SEPARATORS = (",", ";", "\t", "|")
SAMPLE = 2_000
"""Records that show how a file writes its numbers."""


class RowsFileError(RowsError):
    """A file of rows that cannot be read."""


def read_rows(source: str, card: Card, encoder: Encoder, chunk: int = CHUNK) -> Iterator[pd.DataFrame]:
    """Rows of a file in parts of at most ``chunk``, as the published file would have typed them.

    Parameters
    ----------
    source : str
        Path of a table in any format that a card is drafted from, or "-" for separated text on the standard input. The
        first line holds names, unless the card says that the published file has none and it holds none.
    card : Card
        How the published file is written, and what means missing.
    encoder : Encoder
        Which columns hold numbers, and which hold words that look like numbers.

    Raises
    ------
    RowsFileError
        If the file is absent, empty, damaged or no table; the text says what to do.
    WrongTypeError
        If a column of numbers holds a number that is written otherwise than those of the file.
    """
    called = "The standard input" if source == STANDARD else source
    rows = 0
    try:
        for part in filter(len, _typed_parts(source, called, card, encoder, chunk)):
            yield part
            rows += len(part)
    except DataError as error:
        raise RowsFileError(str(error)) from error
    except OSError as error:
        raise RowsFileError(f"{called} cannot be read ({error.strerror or error}); give another file.") from error
    if not rows:
        raise RowsFileError(f"{called} has no rows; give at least one below the names of the columns.")


def _typed_parts(source: str, called: str, card: Card, encoder: Encoder, chunk: int) -> Iterator[pd.DataFrame]:
    if source != STANDARD and not Path(source).is_file():
        raise RowsFileError(f"There is no file {source}; give the path of a table of rows, or - for standard input.")
    kind, numbers, words = (
        "csv" if source == STANDARD else format_of(Path(source)),
        set(_numbers(encoder)),
        _words(encoder),
    )
    if kind != "csv":
        for part in _stored_parts(Path(source), kind, card, chunk):
            yield _typed(part, numbers, words, POINT)
        return
    with _bytes(source) as raw, unpacked(raw, called) as stream:
        read, writing = _as_written(stream, called, card, encoder)
        before = 0
        for part in text_parts(stream, read, called, chunk):
            _refuse_other_writing(part, numbers, writing, called, before)
            before += len(part)
            yield _typed(part, numbers, words, writing)


@contextmanager
def _bytes(source: str) -> Iterator[IO[bytes]]:
    with io.BytesIO(sys.stdin.buffer.read()) if source == STANDARD else Path(source).open("rb") as raw:
        yield raw


def _stored_parts(path: Path, kind: str, card: Card, chunk: int) -> Iterator[pd.DataFrame]:
    """Parts of a file that carries its types."""
    if kind == "parquet":
        yield from parquet_parts(path, chunk)
        return
    alone = kind == "xlsx" and len(sheets_in(path)) == 1
    names = card.read.names if card.read.format == kind else ()
    read = Read.model_validate(
        {"format": kind, "sheet": "" if alone else card.read.sheet, "header": card.read.header, "names": names}
    )
    table = read_table(path, read)
    for start in range(0, len(table), chunk):
        yield table.iloc[start : start + chunk].reset_index(drop=True)


def _as_written(stream: IO[bytes], called: str, card: Card, encoder: Encoder) -> tuple[Read, Writing]:
    """How this file is written: as the card says, where it is."""
    encoding = encoding_in(stream, called, card.read.encoding)
    lines = first_lines(stream, encoding)
    if not "".join(lines).strip():
        raise RowsFileError(f"{called} is empty; give a table whose first line names its columns.")
    separator, skip = _separator(lines, card)
    records = first_cells(lines[skip:], separator, strip=card.read.strip, most=SAMPLE)
    names = _names([name.strip() for name in records[0]], card)
    read = card.read.model_copy(
        update={
            "format": "csv", "separator": separator, "encoding": encoding, "header": names is None,
            "names": names or (), "skip_rows": (skip,),
        }
    )  # fmt: skip
    body = [dict(zip(names or (name.strip() for name in records[0]), record, strict=False)) for record in records]
    return read, _writing(body[names is None :], card, _numbers(encoder))


def _separator(lines: Sequence[str], card: Card) -> tuple[str, int]:
    """Separator and lines to skip that find most of the card's columns; the card's own where all find alike."""
    known = {column.name for column in card.column}
    skips = [skip for skip in dict.fromkeys((0, *card.read.skip_rows[:1])) if skip < len(lines)]

    def found(how: tuple[str, int]) -> tuple[int, int]:
        records = first_cells(list(lines[how[1] :]), how[0])
        cells = [cell.strip() for cell in records[0]] if records else []
        return len(known.intersection(cells)), len(cells)

    return max(((sign, skip) for skip in skips for sign in (card.read.separator, *SEPARATORS)), key=found)


def _names(first: list[str], card: Card) -> tuple[str, ...] | None:
    """Names of the columns where the first line holds none, as the published file; None: it holds them."""
    known = {column.name for column in card.column}
    if known.intersection(first) or card.read.header or len(first) != len(card.read.names):
        return None
    return card.read.names


def _numbers(encoder: Encoder) -> dict[str, ColumnEncoder]:
    return {column.name: column for column in encoder.encoders if column.kind == "numeric"}


def _absent(card: Card, column: ColumnEncoder) -> set[str]:
    """Cells of a column of numbers that mean missing."""
    return {"", *card.read.missing, *(str(code) for code in column.spec.missing)}


def _writing(records: Iterable[dict[str, str]], card: Card, numbers: dict[str, ColumnEncoder]) -> Writing:
    """How the numbers are written; as the card says, unless another way explains more columns for sure."""
    held: dict[str, set[str]] = {name: set() for name in numbers}
    for record in records:
        for name in held.keys() & record.keys():
            held[name].add(record[name].strip())
    cells = {name: held[name] - _absent(card, column) for name, column in numbers.items()}
    return writing_of(cells, Writing(card.read.decimal, card.read.thousands), unclear=False)


def _refuse_other_writing(part: pd.DataFrame, numbers: Set[str], writing: Writing, called: str, before: int) -> None:
    """Refuse "1.721" among numbers with a decimal comma: it could be meant in two ways."""
    if writing == POINT:
        return
    for name in numbers & set(part.columns):
        for cell in part[name].dropna().unique():
            if as_point(cell, POINT) and not as_point(cell, writing):
                row = int((part[name] == cell).to_numpy().argmax()) + before + 1
                raise WrongTypeError(
                    f"{called}: column {name!r}, row {row:,} holds {cell!r}, but the numbers of the file have the "
                    f"decimal sign {writing.decimal!r}. Write them all alike."
                )


def _typed(part: pd.DataFrame, numbers: Set[str], words: Set[str], writing: Writing) -> pd.DataFrame:
    """Columns of text that hold numbers only become numbers, where training rows had numbers too.

    So "1.0" and "1" are one value, while a postcode "01234" among words stays as it is.
    """
    for name in part.columns:
        if name in words or is_numeric(part[name]):
            continue
        part[name] = _pointed(part[name], writing) if name in numbers else understood(part[name], writing)
    return part


def _pointed(series: pd.Series, writing: Writing) -> pd.Series:
    """A column of numbers whose texts have a decimal point; what is no number stays as it is, to be named."""
    found = understood(series, writing)
    if is_numeric(found) or writing == POINT:
        return found
    return series.map(lambda cell: (as_point(cell, writing) or cell) if isinstance(cell, str) else cell)


def _words(encoder: Encoder) -> set[str]:
    """Columns of words among which not all look like numbers."""
    return {column.name for column in encoder.encoders if column.kind != "numeric" and not _numeric(column.categories)}


def _numeric(categories: tuple[str, ...]) -> bool:
    return all(pd.notna(pd.to_numeric(category, errors="coerce")) for category in categories)
