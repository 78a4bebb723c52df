"""What a table that fairmoe has never seen may be used for: its label, its sensitive columns, what is no feature."""

from __future__ import annotations

import re

import pandas as pd

from tasks.card import DataError
from tasks.survey import is_number
from tasks.values import FLOAT_DIGITS, is_numeric

_LABEL = re.compile(
    r"label|target|outcome|approv|default|recid|admit|hired|churn|terminat"
    r"|\b(class(es)?|results?|good|pass(ed)?|income|risk)\b|^y$",
    re.I,
)
_SENSITIVE = re.compile(
    r"gender|ethnic|relig|marital|foreign|disab|minorit"
    r"|\b(sex|nation(?!wide)|birth|skin)|\b(race|racial|age|aged|ages|agep|agecat|agegroup)\b",
    re.I,
)
_IDENTIFIER = re.compile(r"(^|[_\W])(id|key|uuid|index|name|email|phone)$|^(id|index|(?i:unnamed))\b|\bid$|Id$|ID$")
_WRITTEN_NUMBER = re.compile(r"[-+]?[$€£]?\s?(\d{1,3}([., '\u00a0\u202f]\d{3})+|\d+)([.,]\d+)?\s?[%$€£]?")
"""A number with a decimal comma, with separated thousands, or with a sign of currency or per cent."""
SUFFIX = "."
"""What ends the labels of one of two stacked tables (">50K." in adult.test)."""


def words_of(name: str) -> str:
    """A column's name as words: "ageYears" is "age years"."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return re.sub(r"[^0-9A-Za-z]+", " ", spaced).strip().lower() or name


def no_features(table: pd.DataFrame) -> dict[str, str]:
    """Columns that cannot be features, with the reason and the count behind it."""
    reasons = {name: _no_feature(table[name], str(name)) for name in table.columns}
    return {name: f"CHECK: {reason}" for name, reason in reasons.items() if reason}


def _no_feature(column: pd.Series, name: str) -> str:
    held, distinct, rows = column.dropna(), column.nunique(), len(column)
    if not distinct:
        return f"empty in all {rows} rows"
    if distinct == 1 and len(held) == rows:
        return f"constant, {str(held.iloc[0])!r} in all {rows} rows"
    if (column.dtype == object and isinstance(held.iloc[0], int)) or (
        pd.api.types.is_integer_dtype(column) and (held.abs() >= FLOAT_DIGITS).any()
    ):
        return (
            f"whole numbers of more than 15 digits, {distinct} different ones, look like an identifier; if they name "
            "persons, write split_unit, so that a person's rows stay together"
        )
    if is_numeric(column):
        return "looks like an identifier, every row has another value" * (
            distinct == rows and bool(_IDENTIFIER.search(name))
        )
    odd = [cell for cell in held.map(str).unique() if not is_number(cell)]
    if odd and all(_WRITTEN_NUMBER.fullmatch(cell) for cell in odd):
        return (
            f"{len(held)} cells are numbers that are not understood, such as {odd[0]!r}; write them with a decimal "
            "point and without signs, then draft the card again"
        )
    if distinct == rows:
        return "looks like an identifier, every row has another value"
    if distinct > max(100, rows // 20):
        return f"{distinct} different texts, too many for categories; if they name persons, make it split_unit"
    return ""


def two_classes(column: pd.Series) -> bool:
    """Whether the column holds two values."""
    return bool(column.nunique() == 2)


def without_suffix(column: pd.Series) -> pd.Series:
    """The column without the suffix of its texts, if that leaves two values of more; else as it is."""
    if is_numeric(column) or column.nunique() <= 2:
        return column
    cut = column.map(lambda cell: cell.removesuffix(SUFFIX) if isinstance(cell, str) else cell)
    return cut if two_classes(cut) else column


def named_like_a_label(name: str) -> bool:
    """Whether the name says that this is what is to be predicted."""
    return bool(_LABEL.search(words_of(name))) and not named_like_a_group(name)


def named_like_a_group(name: str) -> bool:
    """Whether the name is that of a sensitive attribute."""
    return bool(_SENSITIVE.search(words_of(name)))


def guess_label(table: pd.DataFrame, names: list[str]) -> str:
    """The column that is to be predicted.

    Raises
    ------
    DataError
        If no column has two values or holds numbers.
    """
    two = [name for name in names if two_classes(without_suffix(table[name])) and not named_like_a_group(name)]
    named = [name for name in two if named_like_a_label(name)]
    numbers = [name for name in names if is_numeric(table[name]) and not named_like_a_group(name)]
    ends = [name for name in (names[-1], names[0]) if name in two]
    guesses = named[-1:] or ends[:1] or two[-1:] or [name for name in numbers if named_like_a_label(name)] or numbers
    if not guesses:
        raise DataError(
            "No column could be a label: none has two values or holds numbers. Add one and draft the card again."
        )
    return guesses[-1]


def guess_sensitive(table: pd.DataFrame, names: list[str], most_groups: int) -> list[str]:
    """Sensitive columns, that of sex first, then that of race.

    Raises
    ------
    DataError
        If there is no column.
    """

    def order(name: str) -> int:
        return 0 if re.search("sex|gender", name, re.I) else 1 if re.search("race|racial|ethnic", name, re.I) else 2

    named = sorted((name for name in names if named_like_a_group(name)), key=order)
    few = [name for name in names if 2 <= table[name].nunique() <= most_groups]
    chosen = named or few[:1] or names[:1]
    if not chosen:
        raise DataError("No column is left that could be a sensitive attribute. Add one and draft the card again.")
    return chosen
