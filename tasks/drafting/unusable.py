"""Columns that are no features, with the reason and the count behind it."""

from __future__ import annotations

import re

import pandas as pd

from tasks.drafting.survey import is_number
from tasks.drafting.words import named_like_a_unit, named_like_an_identifier
from tasks.values import FLOAT_DIGITS, is_numeric

_WRITTEN_NUMBER = re.compile(r"[-+]?[$€£]?\s?(\d{1,3}([., '\u00a0\u202f]\d{3})+|\d+)([.,]\d+)?\s?[%$€£]?")
"""A number with a decimal comma, with separated thousands, or with a sign of currency or per cent."""
_DATE = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?"
    r"|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}( \d{1,2}:\d{2}(:\d{2})?)?|\d{4}/\d{1,2}/\d{1,2}"
)
_LEAST_UNITS = 20


def no_features(table: pd.DataFrame) -> dict[str, str]:
    """Columns that cannot be features, with the reason and the count behind it."""
    reasons = {name: _no_feature(table[name], str(name)) for name in table.columns}
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


def _no_feature(column: pd.Series, name: str) -> str:
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
        return "looks like an identifier, every row has another value" * (
            distinct == rows and named_like_an_identifier(name)
        )
    return _no_category([str(cell) for cell in held.unique()], len(held), rows)


def _no_category(values: list[str], held: int, rows: int) -> str:
    """Why texts are no categories."""
    odd = [cell for cell in values if not is_number(cell)]
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
