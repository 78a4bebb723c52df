"""Raw rows of users from files, in parts of bounded size: CSV (packed or not), Parquet, or the standard input."""

from __future__ import annotations

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
from tasks.card import Card
from tasks.encode import Encoder

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
        Path of a CSV with any usual separator in UTF-8 (also .gz), of a .parquet, or "-" for a CSV on the standard
        input. The first line holds names, unless the card says that the published file has none and it holds none.
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
        parts = (
            _of_parquet(Path(source), chunk) if source.endswith((".parquet", ".pq")) else _of_csv(source, card, chunk)
        )
        empty = True
        for part in filter(len, parts):
            empty = False
            yield _typed(part, encoder)
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
            f"{_called(source)} cannot be read as a table: {reason}. Give a CSV in UTF-8 whose first line names its "
            "columns, or a .parquet file."
        ) from error
    if empty:
        raise RowsFileError(f"{_called(source)} has no rows; give at least one below the names of the columns.")


def _called(source: str) -> str:
    return "The standard input" if source == STANDARD else source


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
        head = stream.read(SAMPLE).decode("utf-8-sig", errors="ignore")
        stream.seek(0)
        if not head.strip():
            raise RowsFileError(f"{_called(source)} is empty; give a CSV whose first line names its columns.")
        separator = _separator(head, card)
        first = next(csv.reader(io.StringIO(head, newline=""), delimiter=separator, skipinitialspace=card.read.strip))
        names = _names([name.strip() for name in first], card)
        options: dict[str, Any] = {
            "sep": separator, "encoding": "utf-8-sig", "dtype": str, "keep_default_na": False, "index_col": False,
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
        raw.seek(0)
        if not packed:
            yield raw
            return
        with gzip.open(raw) as unpacked:
            yield cast(IO[bytes], unpacked)


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


def _typed(part: pd.DataFrame, encoder: Encoder) -> pd.DataFrame:
    """Columns of text that hold numbers only become numbers, where training rows had numbers too.

    So "1.0" and "1" are one value, while a postcode "01234" among words stays as it is.
    """
    words = {column.name for column in encoder.encoders if column.kind != "numeric" and not _numeric(column.categories)}
    for name in part.columns:
        if name in words or pd.api.types.is_numeric_dtype(part[name].dtype):
            continue
        held = part[name].dropna()
        if len(held) and all(isinstance(value, str) and len(value) <= LONGEST_NUMBER for value in held.unique()):
            numbers = pd.to_numeric(held, errors="coerce")
            if numbers.notna().all():
                part[name] = numbers.reindex(part.index)
    return part


def _numeric(categories: tuple[str, ...]) -> bool:
    return all(pd.notna(pd.to_numeric(category, errors="coerce")) for category in categories)
