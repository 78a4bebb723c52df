"""Raw rows of users from files, in parts of bounded size: CSV (packed or not), Parquet, workbooks, standard input."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import sys
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pandas as pd

from benchmarks.models.error import RowsError
from tasks.card import Card, DataError
from tasks.encode import Encoder
from tasks.formats.opened import content, encoding_of
from tasks.formats.reading import format_of, read_table

STANDARD = "-"
"""Name of the standard input and output."""
CHUNK = 50_000
"""Rows that are read and predicted at once."""
SEPARATORS = (",", ";", "\t", "|")
SAMPLE = 1 << 16
LONGEST_NUMBER = 15
"""Digits that a float64 holds of every whole number."""


class RowsFileError(RowsError):
    """A file of rows that cannot be read."""


def read_rows(source: str, card: Card, encoder: Encoder, chunk: int = CHUNK) -> Iterator[pd.DataFrame]:
    """Rows of a file in parts of at most ``chunk``, as the published file would have typed them.

    Parameters
    ----------
    source : str
        Path of what a card can be drafted from: a CSV with any usual separator and encoding (also .gz, .bz2, .xz,
        .zip), a .parquet, .feather, .xlsx or .arff; or "-" for a CSV on the standard input. The first line holds names,
        unless the card says that the published file has none and it holds none.
    card : Card
        What means missing, and the names of files without names.
    encoder : Encoder
        Which columns hold words that look like numbers.

    Raises
    ------
    RowsFileError
        If the file is absent, empty, damaged or no table; the text says what to do.
    """
    try:
        empty = True
        for part in filter(len, _parts(source, card, chunk)):
            empty = False
            yield _typed(part, encoder, card.read.decimal)
    except DataError as error:
        raise RowsFileError(str(error)) from error
    except (
        OSError,
        EOFError,
        UnicodeError,
        zlib.error,
        csv.Error,
        pd.errors.ParserError,
        pd.errors.ParserWarning,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RowsFileError(
            f"{_called(source)} cannot be read as a table: {reason}. Give a CSV whose first line names its columns, "
            "or a .parquet or .xlsx file."
        ) from error
    if empty:
        raise RowsFileError(f"{_called(source)} has no rows; give at least one below the names of the columns.")


def _called(source: str) -> str:
    return "The standard input" if source == STANDARD else source


def _parts(source: str, card: Card, chunk: int) -> Iterator[pd.DataFrame]:
    """By the format of the file."""
    kind = "csv" if source == STANDARD else format_of(Path(source))
    if kind == "csv":
        return _of_csv(source, card, chunk)
    if kind == "parquet":
        return _of_parquet(Path(source), chunk)
    return _of_whole(Path(source), kind, card, chunk)


def _of_whole(path: Path, kind: str, card: Card, chunk: int) -> Iterator[pd.DataFrame]:
    """A workbook, Feather or ARFF file, which is read at once."""
    if not path.is_file():
        raise RowsFileError(f"There is no file {path}; give the path of a table of rows.")
    header = card.read.header or kind != card.read.format
    told = {"format": kind, "header": header, "names": () if header else card.read.names}
    table = read_table(path, card.read.model_copy(update=told))
    table = table.mask(table.isin(["", *card.read.missing]))
    for start in range(0, len(table), chunk):
        yield table.iloc[start : start + chunk].reset_index(drop=True)


def _of_parquet(path: Path, chunk: int) -> Iterator[pd.DataFrame]:
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowException

    if not path.is_file():
        raise RowsFileError(f"There is no file {path}; give the path of a table of rows.")
    try:
        with pq.ParquetFile(path) as file:  # type: ignore[no-untyped-call]
            for batch in file.iter_batches(batch_size=chunk):
                yield batch.to_pandas()
    except (ArrowException, NotImplementedError) as error:
        raise RowsFileError(f"{path} is not a whole Parquet file ({' '.join(str(error).split())}).") from error


def _of_csv(source: str, card: Card, chunk: int) -> Iterator[pd.DataFrame]:
    with _opened(source) as stream:
        encoding = _encoding(stream, source)
        head = stream.read(SAMPLE).decode(encoding, errors="ignore")
        stream.seek(0)
        if not head.strip():
            raise RowsFileError(f"{_called(source)} is empty; give a CSV whose first line names its columns.")
        separator = _separator(head, card)
        first = next(csv.reader(io.StringIO(head, newline=""), delimiter=separator, skipinitialspace=card.read.strip))
        names = _names([name.strip() for name in first], card)
        options: dict[str, Any] = {
            "sep": separator, "encoding": encoding, "dtype": str, "keep_default_na": False, "index_col": False,
            "na_values": ["", *card.read.missing], "skipinitialspace": card.read.strip, "chunksize": chunk,
            "header": None if names else 0, "names": names,
        }  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # longer rows would be cut
            for part in pd.read_csv(stream, **options):
                part.columns = part.columns.str.strip()
                yield part.reset_index(drop=True)


@contextmanager
def _opened(source: str) -> Iterator[IO[bytes]]:
    """Bytes of a file, unpacked, that can be looked at and read again from the beginning."""
    if source == STANDARD:
        with io.BytesIO(sys.stdin.buffer.read()) as held:
            yield held
        return
    if not Path(source).is_file():
        raise RowsFileError(f"There is no file {source}; give the path of a table of rows, or - for standard input.")
    with Path(source).open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        if source.lower().endswith((".bz2", ".xz", ".zip")):
            yield io.BytesIO(content(Path(source)))
            return
        raw.seek(0)
        if not packed:
            yield raw
            return
        with gzip.open(raw) as unpacked:
            yield cast(IO[bytes], unpacked)


def _encoding(stream: IO[bytes], source: str) -> str:
    """UTF-8, with or without its mark, else the encoding that all bytes look like; the stream is rewound."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while block := stream.read(SAMPLE):
            decoder.decode(block)
        decoder.decode(b"", final=True)
        return "utf-8-sig"
    except UnicodeDecodeError:
        stream.seek(0)
        return encoding_of(stream.read(), Path(_called(source)))
    finally:
        stream.seek(0)


def _separator(head: str, card: Card) -> str:
    """The separator that finds most of the card's columns in the first line; the card's own where all find alike."""
    line = head.splitlines()[0]
    known = {column.name for column in card.column}

    def found(separator: str) -> tuple[int, int]:
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
        return len(known.intersection(cells)), len(cells)

    return max((card.read.separator, *SEPARATORS), key=found)


def _names(first: list[str], card: Card) -> list[str] | None:
    """Names of the columns where the first line holds none, as the published file; None: it holds them."""
    known = {column.name for column in card.column}
    if known.intersection(first) or card.read.header or len(first) != len(card.read.names):
        return None
    return list(card.read.names)


def _typed(part: pd.DataFrame, encoder: Encoder, decimal: str = ".") -> pd.DataFrame:
    """Columns of text that hold numbers only become numbers, where training rows had numbers too.

    So "1.0" and "1" are one value, while a postcode "01234" among words stays as it is.
    """
    words = {column.name for column in encoder.encoders if column.kind != "numeric" and not _numeric(column.categories)}
    for name in part.columns:
        if name in words or pd.api.types.is_numeric_dtype(part[name].dtype):
            continue
        held = part[name].dropna()
        if len(held) and all(isinstance(value, str) and len(value) <= LONGEST_NUMBER for value in held.unique()):
            numbers = pd.to_numeric(held.str.replace(decimal, ".", regex=False), errors="coerce")
            if numbers.notna().all():
                part[name] = numbers.reindex(part.index)
    return part


def _numeric(categories: tuple[str, ...]) -> bool:
    return all(pd.notna(pd.to_numeric(category, errors="coerce")) for category in categories)
