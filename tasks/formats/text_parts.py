"""A table of separated text, part by part, its cells as the file writes them."""

from __future__ import annotations

import csv
import io
import itertools
import warnings
from collections.abc import Iterator
from typing import IO, Any

import pandas as pd

from tasks.card import DataError, Read

_SAMPLE = 1 << 16


def first_lines(stream: IO[bytes], encoding: str) -> list[str]:
    """Lines of the first 64 KiB of a text, the last one perhaps cut; the stream is left at its beginning."""
    data = stream.read(_SAMPLE)
    stream.seek(0)
    text = data.decode(encoding, errors="ignore").removeprefix("\ufeff")
    return list(io.StringIO(text, newline="\n"))


def first_cells(lines: list[str], separator: str, *, strip: bool = False, most: int = 1) -> list[list[str]]:
    """Cells of the first records; a cell in quotes may hold line ends."""
    reader = csv.reader(iter(lines), delimiter=separator, skipinitialspace=strip)
    return list(itertools.islice((record for record in reader if record), most))


def text_parts(stream: IO[bytes], read: Read, called: str, chunk: int) -> Iterator[pd.DataFrame]:
    """Parts of at most ``chunk`` rows; cells are texts, and empty where they hold one of the words for missing.

    Parameters
    ----------
    stream : stream of bytes
        Unpacked, at its beginning.
    read : Read
        Separator, encoding, names, rows to skip and words for missing, as they are in this file.
    called : str
        What errors call it.

    Raises
    ------
    DataError
        If rows hold more cells than the first line, or the text ends within quotes.
    """
    options: dict[str, Any] = {
        "sep": read.separator, "encoding": "utf-8-sig" if read.encoding == "utf-8" else read.encoding, "dtype": str,
        "keep_default_na": False, "na_values": ["", *read.missing], "index_col": False, "skipinitialspace": read.strip,
        "skiprows": read.skip_rows[0] if read.skip_rows else 0, "chunksize": chunk,
        "header": 0 if read.header else None, "names": None if read.header else list(read.names),
    }  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # longer rows would be cut
            with pd.read_csv(stream, **options) as parts:
                for part in parts:
                    part.columns = part.columns.str.strip()
                    yield part.reset_index(drop=True)
    except (csv.Error, UnicodeError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{called} cannot be read as a table separated by {read.separator!r}: {reason}. Give a file whose first "
            "line names its columns, with as many cells in each line."
        ) from error
