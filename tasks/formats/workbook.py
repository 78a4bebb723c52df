"""Tables in Excel workbooks (.xlsx)."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pandas as pd

from tasks.card import DataError, Read


def read_workbook(path: Path, read: Read) -> pd.DataFrame:
    """The table of one sheet, typed as the cells are.

    Raises
    ------
    DataError
        If the file is no workbook, or has several sheets and ``read.sheet`` names none of them.
    """
    try:
        with pd.ExcelFile(path, engine="openpyxl") as book:
            sheet = _sheet(path, [str(name) for name in book.sheet_names], read.sheet)
            if read.header:
                _refuse_twice(path, book.parse(sheet, header=None, nrows=1))
            table: pd.DataFrame = book.parse(
                sheet, header=0 if read.header else None, na_values=[""], keep_default_na=False
            )
            return table
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise DataError(f"{path} is not a whole .xlsx workbook ({error}); save it again, or as CSV.") from error


def sheets_in(path: Path) -> tuple[str, ...]:
    """Names of the sheets; what is no workbook is a ``DataError``."""
    try:
        with pd.ExcelFile(path, engine="openpyxl") as book:
            return tuple(str(name) for name in book.sheet_names)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise DataError(f"{path} is not a whole .xlsx workbook ({error}); save it again, or as CSV.") from error


def _refuse_twice(path: Path, first: pd.DataFrame) -> None:
    names = [str(name) for name in first.iloc[0]] if len(first) else []
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path} has two columns with the name {twice[0]!r}; give one of them another name.")


def _sheet(path: Path, sheets: list[str], wanted: str) -> str:
    if wanted in sheets or (not wanted and len(sheets) == 1):
        return wanted or sheets[0]
    known = ", ".join(map(repr, sheets))
    if wanted:
        raise DataError(
            f"{path} has no sheet {wanted!r}; it has {known}. Name one of them (--sheet, or sheet in [read])."
        )
    raise DataError(f"{path} has {len(sheets)} sheets: {known}. Choose one: --sheet NAME (in a card: sheet in [read]).")
