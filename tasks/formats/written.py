"""Numbers as people write them: the sign before the fraction, and the sign between thousands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from tasks.values import is_numeric

LONGEST_WHOLE = 15
"""Digits that a float64 holds of every whole number."""
_UNCLEAR = re.compile(r"[-+]?[1-9]\d{0,2}[.,]\d{3}")
"""One sign before three digits: a fraction or thousands."""


class Writing(NamedTuple):
    """How numbers are written: "25.983,54" has a decimal comma and thousands that end in a point."""

    decimal: str = "."
    thousands: str = ""


POINT, COMMA = Writing("."), Writing(",")
WRITINGS = (
    POINT, COMMA, Writing(",", "."), Writing(".", ","),
    *(Writing(decimal, blank) for blank in (" ", "\u00a0", "\u202f", "'") for decimal in (",", ".")),
)  # fmt: skip
"""All that are known; the first of those that explain as many columns is taken."""


def is_number(text: str) -> bool:
    """Whether a cell is read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def as_point(cell: str, writing: Writing) -> str:
    """The number of a cell as "-1234.5"; "" if the cell is no number that is written so.

    Examples
    --------
    >>> as_point("25.983,54", Writing(",", ".")), as_point("0,5", COMMA), as_point("1.721", COMMA)
    ('25983.54', '0.5', '')
    """
    text = cell.strip()
    if writing.thousands and writing.thousands in text:
        if not _grouped(writing).fullmatch(text):
            return ""
        text = text.replace(writing.thousands, "")
    if writing.decimal == ",":
        if "." in text:
            return ""
        text = text.replace(",", ".")
    return text if is_number(text) else ""


@cache
def _grouped(writing: Writing) -> re.Pattern[str]:
    return re.compile(rf"[-+]?\d{{1,3}}({re.escape(writing.thousands)}\d{{3}})+({re.escape(writing.decimal)}\d+)?")


def fits(cells: Iterable[str], writing: Writing, *, unclear: bool = True) -> bool:
    """Whether all cells are numbers written so, and some cell shows it.

    Separated thousands need a cell that could not be meant otherwise, such as "25.983,54" or "1.234.567".

    Parameters
    ----------
    cells : iterable of str
    writing : Writing
    unclear : bool
        Whether "1,234" is sign enough of a decimal comma or point.
    """
    held = [cell.strip() for cell in cells]
    if not held or not all(as_point(cell, writing) for cell in held):
        return False
    grouped = [cell for cell in held if writing.thousands and writing.thousands in cell]
    if grouped:
        return not all(_UNCLEAR.fullmatch(cell) for cell in grouped)
    return any(unclear or not _UNCLEAR.fullmatch(cell) for cell in held if writing.decimal in cell)


def writing_of(columns: Mapping[str, Iterable[str]], first: Writing = POINT, *, unclear: bool = True) -> Writing:
    """The writing that makes numbers of the most columns; ``first`` where others make no more.

    Parameters
    ----------
    columns : mapping of name -> cells
        Different cells of each column, without those that mean missing.
    first : Writing
    unclear : bool
        As for :func:`fits`.
    """
    cells = {name: list(held) for name, held in columns.items()}

    def score(writing: Writing) -> int:
        return sum(fits(held, writing, unclear=unclear) for held in cells.values())

    return max((first, *WRITINGS), key=score)


def understood(series: pd.Series, writing: Writing) -> pd.Series:
    """The column as numbers, if its cells are texts that all are numbers written so; else as it is.

    Whole numbers of more than 15 digits stay texts: they are names of something.
    """
    if is_numeric(series):
        return series
    codes, uniques = pd.factorize(series, use_na_sentinel=True)
    points = [as_point(cell, writing) if isinstance(cell, str) else "" for cell in uniques]
    if not points or not all(points) or any(_long(point) for point in points):
        return series
    numbers = np.array([*(float(point) for point in points), np.nan])[codes]
    return whole_if_possible(pd.Series(numbers, index=series.index, name=series.name))


def _long(point: str) -> bool:
    digits = point.lstrip("+-")
    return digits.isdigit() and len(digits) > LONGEST_WHOLE


def whole_if_possible(numbers: pd.Series) -> pd.Series:
    """Whole numbers as int64, as a file without fractions is typed."""
    held = numbers.to_numpy()
    if np.isfinite(held).all() and (held == np.round(held)).all() and (np.abs(held) < 2.0**53).all():
        return numbers.astype(np.int64)
    return numbers
