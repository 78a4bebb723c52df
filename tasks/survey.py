"""What a CSV that fairmoe has never seen seems to be: separator, names, blanks, words for missing, and its table."""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.card import DataError
from tasks.values import LARGEST, exact_integers, is_numeric

MISSING_WORDS = ("?", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None")
UNSURE_WORDS = ("NA", "None")
"""Words that are a category of their own in some tables: North America, no religion."""
SAMPLE = 1 << 18
YEARS = range(1800, 2201)

Cells = dict[str, int]
"""Column -> number of its cells."""


@dataclass(frozen=True)
class Survey:
    """What was found in the file.

    Attributes
    ----------
    header_sure : bool
        Whether the first line says by itself if it holds names.
    first : tuple of str
        Cells of the first line.
    blanks : dict
        Cells with blanks at an end, by column.
    missing : dict
        Word -> cells that it empties, by column.
    kept : dict
        Word that may mean missing, but was left as a category -> its cells, by column.
    wild : dict
        Column -> number that no feature can hold, as text -> its cells; they are empty in ``table``.
    table : DataFrame
        Typed as the card reads it.
    """

    separator: str
    header: bool
    header_sure: bool
    first: tuple[str, ...]
    strip: bool
    blanks: Cells
    missing: dict[str, Cells]
    kept: dict[str, Cells]
    table: pd.DataFrame
    wild: dict[str, Cells] = field(default_factory=dict)


def survey(path: Path) -> Survey:
    """Look at a CSV file.

    Raises
    ------
    DataError
        If the file is missing, is no table, or is too small for a task.
    """
    records = _sample(path)
    separator, lines = _separated(records, path)
    header, sure = _header(lines)
    lead = sum(cell.startswith(" ") for line in lines[1:] for cell in line[1:]) > len(lines) / 2

    def read(strip: bool, **kind: Any) -> pd.DataFrame:
        return _read(path, separator, header, strip, **kind)

    text = read(lead, dtype=str)
    blanks = _blanks(text)
    strip = lead or bool(blanks)
    if strip:
        text = read(True, dtype=str).apply(lambda column: column.str.strip())
    missing, kept = _missing(text)
    table = exact_integers(read(strip, na_values=["", *missing], low_memory=False), lambda _: text.mask(text == ""))
    if strip:
        _clean(table, missing)
    if len(table) < 20 or table.shape[1] < 3:
        raise DataError(
            f"{path} has {len(table)} rows and {table.shape[1]} columns; a task needs 20 rows and 3 columns at least."
        )
    wild = _tame(table)
    return Survey(separator, header, sure, tuple(lines[0]), strip, blanks, missing, kept, table, wild)


def is_number(text: str) -> bool:
    """Whether a cell is read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _sample(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"There is no file {path}; give the path of a CSV.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return stream.read(SAMPLE)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error}); convert it first.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error


def _records(sample: str, separator: str, most: int, blanks: bool) -> list[list[str]]:
    """The first whole records; a cell in quotes may hold line ends, and only LF and CR end a line."""
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=separator, skipinitialspace=blanks)
    try:
        found = [record for record in itertools.islice(reader, most + 1) if record]
    except csv.Error:
        return []
    return found[:-1] if len(found) > most or (len(sample) >= SAMPLE and len(found) > 1) else found


def _separated(sample: str, path: Path) -> tuple[str, list[list[str]]]:
    """The separator that cuts the first lines into the same number of cells, as many as possible; 200 lines with it."""
    best, cells = ",", 1
    for separator in (",", ";", "\t", "|"):
        counts = {len(record) for record in _records(sample, separator, 50, blanks=True)}
        if len(counts) == 1 and min(counts) > cells:
            best, cells = separator, min(counts)
    if cells == 1:
        raise DataError(f"{path} is not a table: its lines do not hold the same number of cells with any of , ; tab |.")
    return best, _records(sample, best, 200, blanks=False)


def _header(lines: list[list[str]]) -> tuple[bool, bool]:
    """Whether the first line holds names, and whether that is sure: a name stands over cells of another type."""
    votes = [_vote(first, [line[i] for line in lines[1:] if i < len(line)]) for i, first in enumerate(lines[0])]
    if any(vote > 0 for vote in votes):
        return True, not any(vote < 0 for vote in votes) and not any(is_number(cell) for cell in lines[0])
    if any(vote < 0 for vote in votes):
        return False, False
    return len(set(lines[0])) == len(lines[0]), False


def _vote(first: str, body: list[str]) -> int:
    """1: the first cell is a name, -1: it is a value like those below it, 0: cannot be told."""
    held = [cell.strip() for cell in body if cell.strip() and cell.strip() not in MISSING_WORDS]
    first = first.strip()
    if not held or not first or first in MISSING_WORDS:
        return 0
    numbers = [is_number(cell) for cell in held]
    if is_number(first):
        if _is_year(first) and not all(_is_year(cell) for cell in held):
            return 0
        return -1 if all(numbers) else 0 if any(numbers) else 1
    return int(all(numbers))


def _is_year(cell: str) -> bool:
    return cell.isascii() and cell.isdigit() and int(cell) in YEARS


def _read(path: Path, separator: str, header: bool, strip: bool, **kind: Any) -> pd.DataFrame:
    options: dict[str, Any] = {"header": 0 if header else None, "skipinitialspace": strip, "encoding": "utf-8-sig"}
    try:
        table: pd.DataFrame = pd.read_csv(path, sep=separator, keep_default_na=False, **options, **kind)
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read as a table separated by {separator!r} ({reason}).") from error
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{path} cannot be read as a table: its rows hold more cells than its first line.")
    table.columns = pd.Index([str(name) if header else f"column_{name}" for name in table.columns], dtype=object)
    return table


def _blanks(text: pd.DataFrame) -> Cells:
    """Cells of text columns that begin or end with a blank."""
    found = {}
    for name in text.columns:
        cells = text[name].fillna("")
        count = int((cells != cells.str.strip()).sum())
        if count and not all(is_number(cell) for cell in cells.unique() if cell.strip()):
            found[name] = count
    return found


def _missing(text: pd.DataFrame) -> tuple[dict[str, Cells], dict[str, Cells]]:
    """Words that mean missing, and words that may be categories: those that occur only among other texts."""
    missing: dict[str, Cells] = {}
    kept: dict[str, Cells] = {}
    for word in MISSING_WORDS:
        cells = {str(name): int(count) for name, count in (text == word).sum().items() if count}
        if not cells:
            continue
        unsure = word in UNSURE_WORDS and not any(_among_numbers(text[name]) for name in cells)
        (kept if unsure else missing)[word] = cells
    return missing, kept


def _among_numbers(column: pd.Series) -> bool:
    held = [cell for cell in column.fillna("").unique() if cell and cell not in MISSING_WORDS]
    return bool(held) and all(is_number(cell) for cell in held)


def _clean(table: pd.DataFrame, missing: dict[str, Cells]) -> None:
    for name in table.columns:
        if not is_numeric(table[name]):
            cells = table[name].map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
            table[name] = cells.mask(cells.isin(["", *missing]))


def _tame(table: pd.DataFrame) -> dict[str, Cells]:
    """Empty the cells that no feature can hold, such as inf and 1e200; say which they were."""
    wild: dict[str, Cells] = {}
    for name in table.columns:
        if table[name].dtype != np.float64:
            continue
        large = table[name].abs() > LARGEST
        if large.any():
            counts = table[name][large].value_counts()
            wild[name] = {repr(float(str(value))): int(count) for value, count in counts.items()}
            table[name] = table[name].mask(large)
    return wild
