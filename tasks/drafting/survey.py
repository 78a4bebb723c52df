"""What a file that fairmoe has never seen seems to be: format, separator, names, words for missing, and its table."""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.card import DataError, Read
from tasks.formats.arrow import surveyed_parquet
from tasks.formats.opened import content, encoding_of, source
from tasks.formats.reading import format_of, read_table
from tasks.formats.written import COMMA, POINT, Writing, as_point, fits, is_number, understood, writing_of
from tasks.values import LARGEST, exact_integers, is_numeric

MISSING_WORDS = ("?", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None")
UNSURE_WORDS = ("NA", "None")
"""Words that are a category of their own in some tables: North America, no religion."""
SAMPLE = 1 << 18
MOST_ROWS = 500_000
"""Rows of a Parquet file that a card is drafted from; of a larger one, rows from all over it."""
YEARS = range(1800, 2201)
LEAST_ROWS, LEAST_COLUMNS = 20, 3
SEPARATORS = (",", ";", "\t", "|", ":", "~", " ")
"""Tried in this order; a later one must cut lines into more cells."""

Cells = dict[str, int]
"""Column -> number of its cells."""


@dataclass(frozen=True)
class Survey:
    """What was found in the file.

    Attributes
    ----------
    read : Read
        How a card says it: format, separator, encoding, decimal sign, sheet, header, strip, missing.
    header_sure : bool
        Whether the first line says by itself if it holds names.
    first : tuple of str
        Cells of the first line; empty where the file is no text.
    blanks : dict
        Cells with blanks at an end, by column.
    missing : dict
        Word -> cells that it empties, by column.
    kept : dict
        Word that may mean missing, but was left as a category -> its cells, by column.
    wild : dict
        Column -> number that no feature can hold, as text -> its cells; they are empty in ``table``.
    signs : tuple of str
        Columns whose numbers have a decimal comma or separated thousands.
    table : DataFrame
        Typed as the card reads it.
    rows : int or None
        Of the file, where ``table`` may hold but a part of them; None: all are in ``table``.
    """

    read: Read
    header_sure: bool
    first: tuple[str, ...]
    blanks: Cells
    missing: dict[str, Cells]
    kept: dict[str, Cells]
    table: pd.DataFrame
    wild: dict[str, Cells] = field(default_factory=dict)
    signs: tuple[str, ...] = ()
    rows: int | None = None


def survey(path: Path, sheet: str = "") -> Survey:
    """Look at a file.

    Parameters
    ----------
    path : Path
        CSV (packed or not), Parquet, Feather, .xlsx or ARFF.
    sheet : str
        Of a workbook; may be left out if it has one.

    Raises
    ------
    DataError
        If the file is missing, is no table, or is too small for a task.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}; give the path of a table.")
    if not path.stat().st_size:
        raise DataError(f"{path} is empty: it has no bytes. Give a file with a line of names and at least 20 rows.")
    kind = format_of(path)
    try:
        found = _text_survey(path) if kind == "csv" else _typed_survey(path, Read(format=kind, sheet=sheet))  # type: ignore[arg-type]
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    rows, columns = found.table.shape
    if rows < LEAST_ROWS or columns < LEAST_COLUMNS:
        raise DataError(
            f"{path} has {rows} rows and {columns} columns; a task needs {LEAST_ROWS} rows and {LEAST_COLUMNS} columns "
            "at least."
        )
    return found


def _text_survey(path: Path) -> Survey:
    data = content(path)
    encoding = encoding_of(data, path)
    records = data.decode(encoding).removeprefix("\ufeff")[:SAMPLE]
    if not records.strip():
        raise DataError(f"{path} is empty: it holds no character but blanks.")
    separator, lines = _separated(records, path)
    header, sure = _header([_pointed(line, separator) for line in lines])
    if header:
        _refuse_twice(lines[0], path)
    lead = sum(cell.startswith(" ") for line in lines[1:] for cell in line[1:]) > len(lines) / 2
    shape = Read(separator=separator, header=header, encoding=encoding, strip=lead)

    def read(strip: bool, **kind: Any) -> pd.DataFrame:
        return _read(path, shape, strip, **kind)

    text = read(lead, dtype=str)
    blanks = _blanks(text)
    strip = lead or bool(blanks)
    if strip:
        text = read(True, dtype=str).apply(lambda column: column.str.strip())
    held = _held(text)
    writing = writing_of(held, unclear=separator != ",")
    missing, kept = _missing(text, writing)
    typed = read(strip, na_values=["", *missing], low_memory=False, decimal=writing.decimal)
    table = exact_integers(typed, lambda _: text.mask(text == ""))
    if strip:
        _clean(table, missing)
    signs = tuple(name for name in held if writing != POINT and fits(held[name], writing))
    for name in signs if writing.thousands else ():
        table[name] = understood(table[name], writing)
    shape = shape.model_copy(
        update={"strip": strip, "missing": tuple(missing), **writing._asdict()}
        | ({} if header else {"names": tuple(table.columns)})
    )
    return Survey(shape, sure, tuple(lines[0]), blanks, missing, kept, table, _tame(table), signs)


def _typed_survey(path: Path, read: Read) -> Survey:
    """A file that carries names and types; its texts may have blanks and words for missing all the same."""
    table, rows = surveyed_parquet(path, MOST_ROWS) if read.format == "parquet" else (read_table(path, read), None)
    texts = table.loc[:, [not is_numeric(table[name]) and table[name].dtype.kind not in "mM" for name in table.columns]]
    shown = texts.map(lambda cell: cell if isinstance(cell, str) else "" if pd.isna(cell) else str(cell))
    blanks = _blanks(shown)
    missing, kept = _missing(shown.apply(lambda column: column.str.strip()) if blanks else shown)
    for name in texts.columns:
        held = table[name].map(lambda cell: cell.strip() if isinstance(cell, str) and blanks else cell)
        table[name] = held.mask(held.map(lambda cell: isinstance(cell, str) and cell in ("", *missing))).infer_objects()
    shape = read.model_copy(update={"strip": bool(blanks), "missing": tuple(missing)})
    return Survey(shape, True, (), blanks, missing, kept, table, _tame(table), rows=rows)


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
    best, cells = "", 1
    for separator in SEPARATORS:
        counts = {len(record) for record in _records(sample, separator, 50, blanks=separator != " ")}
        rare = separator in SEPARATORS[4:]  # signs that also stand within texts and times: only if no other fits
        if len(counts) == 1 and min(counts) > cells and not (rare and best):
            best, cells = separator, min(counts)
    if not best:
        raise DataError(_no_table(sample, path))
    return best, _records(sample, best, 200, blanks=False)


def _no_table(sample: str, path: Path) -> str:
    """Why no separator fits: a line that differs from the others, or none that is cut at all."""
    for separator in SEPARATORS[:4]:
        sizes = [len(record) for record in _records(sample, separator, 50, blanks=True)]
        if not sizes or max(sizes) < 2:
            continue
        usual, count = Counter(sizes).most_common(1)[0]
        if usual > 1 and count > len(sizes) / 2:
            record = next(i for i, size in enumerate(sizes) if size != usual)
            return (
                f"{path} is not a table: cut by {separator!r}, its record {record + 1} has {sizes[record]} cells where "
                f"most have {usual}. Put texts that hold a {separator!r} in quotes, and delete lines of notes."
            )
    return (
        f"{path} is not a table: its lines do not hold the same number of cells, two at least, with any of "
        ", ; tab | : ~ blank. A task needs columns for a label, a group and a feature."
    )


def _refuse_twice(names: list[str], path: Path) -> None:
    for name in names:
        places = [str(i + 1) for i, other in enumerate(names) if other.strip() == name.strip()]
        if len(places) > 1 and name.strip():
            raise DataError(
                f"{path} has {len(places)} columns with the name {name.strip()!r} (columns {', '.join(places)}); give "
                "them different names, or delete those that are copies."
            )


def _pointed(line: list[str], separator: str) -> list[str]:
    """Cells of a line, with a decimal point in numbers that have a decimal comma; "1,234" between commas is unclear."""
    if separator == ",":
        return line
    return [(as_point(cell, COMMA) or cell) if "," in cell else cell for cell in line]


def _held(text: pd.DataFrame) -> dict[str, list[str]]:
    """Different cells of each column, without blanks, empty ones and those that may mean missing."""
    cells = {str(name): [cell.strip() for cell in text[name].dropna().unique()] for name in text.columns}
    return {name: [cell for cell in held if cell and cell not in MISSING_WORDS] for name, held in cells.items()}


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


def _read(path: Path, shape: Read, strip: bool, **kind: Any) -> pd.DataFrame:
    options: dict[str, Any] = {
        "sep": shape.separator,
        "header": 0 if shape.header else None,
        "skipinitialspace": strip,
        "encoding": "utf-8-sig" if shape.encoding == "utf-8" else shape.encoding,
    }
    try:
        table: pd.DataFrame = pd.read_csv(source(path), keep_default_na=False, **options, **kind)
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read as a table separated by {shape.separator!r} ({reason}).") from error
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{path} cannot be read as a table: its rows hold more cells than its first line.")
    names = [str(name) if shape.header else f"column_{name}" for name in table.columns]
    table.columns = pd.Index(names, dtype=object)
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


def _missing(text: pd.DataFrame, writing: Writing = POINT) -> tuple[dict[str, Cells], dict[str, Cells]]:
    """Words that mean missing, and words that may be categories: those that occur only among other texts."""
    missing: dict[str, Cells] = {}
    kept: dict[str, Cells] = {}
    for word in MISSING_WORDS:
        cells = {str(name): int(count) for name, count in (text == word).sum().items() if count}
        if not cells:
            continue
        unsure = word in UNSURE_WORDS and not any(_among_numbers(text[name], writing) for name in cells)
        (kept if unsure else missing)[word] = cells
    return missing, kept


def _among_numbers(column: pd.Series, writing: Writing) -> bool:
    held = [cell for cell in column.fillna("").unique() if cell and cell not in MISSING_WORDS]
    return bool(held) and all(as_point(cell, writing) for cell in held)


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
