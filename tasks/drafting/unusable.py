"""Columns that are no features, with the reason and the count behind it."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from tasks.drafting.words import (
    named_like_a_group,
    named_like_a_label,
    named_like_a_unit,
    named_like_an_identifier,
)
from tasks.formats.written import COMMA, POINT, Writing, as_point
from tasks.values import FLOAT_DIGITS, is_numeric

_WRITTEN_NUMBER = re.compile(r"[-+]?[$€£]?\s?(\d{1,3}([., '\u00a0\u202f]\d{3})+|\d+)([.,]\d+)?\s?[%$€£]?")
"""A number with a decimal comma, with separated thousands, or with a sign of currency or per cent."""
_DATE = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?"
    r"|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}( \d{1,2}:\d{2}(:\d{2})?)?|\d{4}/\d{1,2}/\d{1,2}"
)
_LEAST_UNITS = 20


def no_features(table: pd.DataFrame, writing: Writing = POINT) -> dict[str, str]:
    """Columns that cannot be features, with the reason and the count behind it.

    Parameters
    ----------
    table : [n] DataFrame
        Typed as a card reads it.
    writing : Writing
        How the file writes its numbers.
    """
    reasons = {name: _no_feature(table[name], str(name), writing) for name in table.columns}
    return {name: f"CHECK: {reason}" for name, reason in reasons.items() if reason}


def guess_unit(table: pd.DataFrame, taken: set[str]) -> str:
    """The column that names persons with several rows each, "" if there is none.

    It is named like a person or a key, is no number with a fraction, and has at least ``_LEAST_UNITS`` values that
    occur twice on average at most ten times.
    """
    for name in table.columns:
        held = table[name].dropna()
        if str(name) in taken or not named_like_a_unit(str(name)) or held.dtype.kind in "bM":
            continue
        distinct = held.nunique()
        whole = not is_numeric(held) or bool((held == held.round()).all())
        if whole and _LEAST_UNITS <= distinct < len(held) <= distinct * 10 and len(held) >= 0.9 * len(table):
            return str(name)
    return ""


def _no_feature(column: pd.Series, name: str, writing: Writing) -> str:
    held, distinct, rows = column.dropna(), column.nunique(), len(column)
    if not distinct:
        return f"empty in all {rows} rows"
    if distinct == 1 and len(held) == rows:
        return f"constant, {str(held.iloc[0])!r} in all {rows} rows"
    if column.dtype.kind in "mM":
        return f"{len(held)} points in time; write what matters of them (year, days since) as a number"
    if (column.dtype == object and isinstance(held.iloc[0], int)) or (
        pd.api.types.is_integer_dtype(column) and (held.abs() >= FLOAT_DIGITS).any()
    ):
        return (
            f"whole numbers of more than 15 digits, {distinct} different ones, look like an identifier; if they name "
            "persons, write split_unit, so that a person's rows stay together"
        )
    if is_numeric(column):
        if distinct == rows and named_like_an_identifier(name):
            return "looks like an identifier, every row has another value"
        return "" if named_like_a_label(name) or named_like_a_group(name) else _running(column)
    texts = held.map(str)
    return _mixed(texts) or _no_category(list(texts.unique()), len(held), rows, writing)


def _running(column: pd.Series) -> str:
    """Whether whole numbers, all different, are a running number or drawn from one; "" if they are not.

    Of n numbers drawn from a range of n²/20, two are equal with a probability of 1 - exp(-10).
    """
    values, rows = column.to_numpy(), len(column)
    if column.isna().any() or column.nunique() < rows or column.dtype.kind == "b" or (values != np.round(values)).any():
        return ""
    span = float(values.max()) - float(values.min()) + 1
    if span == rows:
        return f"a running number, {int(values.min())} to {int(values.max())}: an identifier"
    if span <= rows**2 / 20:
        return "looks like an identifier: whole numbers so dense that chance would repeat some, and no two are equal"
    return ""


def _mixed(texts: pd.Series) -> str:
    """How numbers of one column are written in two ways, with the cells of the rarer one; "" if they are not."""
    cells = texts.unique()
    comma = {cell for cell in cells if "," in cell and as_point(cell, COMMA)}
    point = {cell for cell in cells if "." in cell and as_point(cell, POINT)}
    whole = {cell for cell in cells if as_point(cell, COMMA) and as_point(cell, POINT)}
    if not comma or not point or len(comma | point | whole) < len(cells):
        return ""
    counts = {"comma": int(texts.isin(comma).sum()), "point": int(texts.isin(point).sum())}
    few, rare = ("comma", comma) if counts["comma"] < counts["point"] else ("point", point)
    usual = "point" if few == "comma" else "comma"
    first = next(cell for cell in texts if cell in rare)
    return (
        f"numbers in two notations: {counts[usual]:,} cells with a decimal {usual}, {counts[few]:,} with a {few}, such "
        f"as {first!r} in row {int((texts == first).to_numpy().argmax()) + 1:,}; write them alike"
    )


def _no_category(values: list[str], held: int, rows: int, writing: Writing) -> str:
    """Why texts are no categories."""
    odd = [cell for cell in values if not as_point(cell, Writing(writing.decimal))]
    if odd and all(_WRITTEN_NUMBER.fullmatch(cell) for cell in odd):
        return (
            f"{held} cells are numbers that are not understood, such as {odd[0]!r}; write them with a decimal "
            "point and without signs, then draft the card again"
        )
    if len(values) > 2 and sum(bool(_DATE.fullmatch(cell.strip())) for cell in values) > 0.95 * len(values):
        return (
            f"{held} cells are dates, such as {values[0]!r}; write what matters of them (year, days since) as a number"
        )
    if len(values) == rows:
        return "looks like an identifier, every row has another value"
    if len(values) > max(100, rows // 20):
        return f"{len(values)} different texts, too many for categories; if they name persons, make it split_unit"
    return ""
