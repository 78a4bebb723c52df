"""The reader of a file: by the format that its card names, or by the ending of its name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tasks.card import DataError, Read
from tasks.formats.arff import read_arff
from tasks.formats.arrow import names_of_parquet, read_feather, read_parquet
from tasks.formats.opened import plain_name
from tasks.formats.workbook import read_workbook

ENDINGS = {
    ".parquet": "parquet", ".pq": "parquet", ".feather": "feather", ".arrow": "feather", ".ft": "feather",
    ".xlsx": "xlsx", ".xlsm": "xlsx", ".arff": "arff",
}  # fmt: skip
"""What is no text with separators, by the ending of the name."""
_WHOLE = {"xlsx": read_workbook, "arff": read_arff}


def format_of(path: Path) -> str:
    """Format by the ending of the name, packed or not; what is none of :data:`ENDINGS` is "csv".

    Raises
    ------
    DataError
        For formats that are known and not read.
    """
    ending = Path(plain_name(path)).suffix.lower()
    if ending in (".xls", ".ods", ".sav", ".dta", ".sas7bdat", ".rds", ".pkl", ".pickle", ".json"):
        raise DataError(
            f"{path}: {ending} files are not read. Save the table as CSV, Parquet or .xlsx, then draft the card again."
        )
    return ENDINGS.get(ending, "csv")


def names_in(path: Path, read: Read) -> list[str]:
    """Names of the columns of a file that is no CSV."""
    if read.format == "parquet":
        return names_of_parquet(path)
    return [str(name) for name in read_table(path, read).columns]


def read_table(path: Path, read: Read, columns: list[str] | None = None) -> pd.DataFrame:
    """A file that is no CSV, with the types that it holds; only the named columns, if any are.

    Raises
    ------
    DataError
        If the file is not a whole one of its format, or two of its columns have one name.
    """
    if read.format == "parquet":
        return read_parquet(path, read, columns)
    if read.format == "feather":
        return read_feather(path, read, columns)
    table = _WHOLE[read.format](path, read)
    table.columns = pd.Index(list(read.names) or [_name(name, read) for name in table.columns], dtype=object)
    return table if columns is None else table[columns]


def _name(name: object, read: Read) -> str:
    return str(name) if read.header else f"column_{name}"
