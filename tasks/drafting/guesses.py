"""What a table that fairmoe has never seen may be used for: its label and its sensitive columns, each with a reason."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from foundation.refusals import did_you_mean
from tasks.card import DataError
from tasks.drafting.words import (
    group_order,
    named_like_a_group,
    named_like_a_label,
    named_like_a_trait,
    named_like_an_outcome,
)
from tasks.values import is_numeric, sort_key, word

SUFFIX = "."
"""What ends the labels of one of two stacked tables (">50K." in adult.test)."""
MOST_CLASSES = 20


@dataclass(frozen=True)
class Guess:
    """What was decided, and why."""

    subject: str
    decision: str
    reason: str


@dataclass(frozen=True)
class Wishes:
    """What the user says instead of leaving it to guesses; empty fields are guessed."""

    label: str = ""
    positive: str = ""
    sensitive: tuple[str, ...] = ()
    sheet: str = ""


def two_classes(column: pd.Series) -> bool:
    """Whether the column holds two values."""
    return bool(column.nunique() == 2)


def without_suffix(column: pd.Series) -> pd.Series:
    """The column without the suffix of its texts, if that leaves two values of more; else as it is."""
    if is_numeric(column) or column.nunique() <= 2:
        return column
    cut = column.map(lambda cell: cell.removesuffix(SUFFIX) if isinstance(cell, str) else cell)
    return cut if two_classes(cut) else column


def values_of(column: pd.Series) -> dict[str, int]:
    """Words of a column and their rows, in the order of words."""
    counts = column.dropna().map(word).value_counts()
    return {value: int(counts[value]) for value in sorted(counts.index, key=sort_key)}


def listed(column: pd.Series, most: int = 6) -> str:
    """Yes 60, no 58: values and rows in words."""
    values = values_of(column)
    parts = [f"{value} {count}" for value, count in list(values.items())[:most]]
    return ", ".join(parts) + (f" and {len(values) - most} more" if len(values) > most else "")


def known_column(table: pd.DataFrame, name: str, option: str) -> str:
    """The column that an option names.

    Raises
    ------
    DataError
        If the table has no such column.
    """
    names = [str(column) for column in table.columns]
    if name in names:
        return name
    hint = did_you_mean(name, names, cutoff=0.5)
    raise DataError(f"{option}: the table has no column {name!r}. {hint}It has: {', '.join(map(repr, names))}.")


def guess_label(table: pd.DataFrame, names: list[str]) -> tuple[str, str]:
    """The column that is to be predicted, and why.

    Raises
    ------
    DataError
        If no column has two values or holds numbers, or the one that is named like an outcome has other than two.
    """
    two = [name for name in names if two_classes(without_suffix(table[name])) and not named_like_a_group(name)]
    named = [name for name in two if named_like_a_label(name)]
    numbers = [name for name in names if is_numeric(table[name]) and not named_like_a_group(name)]
    ends = [name for name in (names[-1], names[0]) if name in two]
    if named:
        return named[-1], "named like an outcome, two values"
    many = [name for name in names if named_like_an_outcome(name) and 2 < table[name].nunique() <= MOST_CLASSES]
    if many:
        raise DataError(
            f"The column {many[-1]!r} is named like what is to be predicted, but has "
            f"{table[many[-1]].nunique()} values "
            f"({listed(table[many[-1]])}), and labels are binary. Say which value is class 1 (all others are class 0): "
            f"--label {many[-1]!r} --positive VALUE; or name another column with --label."
        )
    if ends:
        return ends[0], f"the {'last' if ends[0] == names[-1] else 'first'} column, two values"
    if two:
        return two[-1], "the last column with two values"
    guesses = [name for name in numbers if named_like_a_label(name)] or numbers
    if not guesses:
        raise DataError(
            "No column could be a label: none has two values or holds numbers. Add one and draft the card again, or "
            "name a column and the value that is class 1: --label COLUMN --positive VALUE."
        )
    return guesses[-1], "no column has two values; numbers, cut at their median"


def other_outcomes(table: pd.DataFrame, names: list[str]) -> dict[str, str]:
    """Columns that are another outcome, not a feature: named like one, with a few values that are no two."""
    return {
        name: f"CHECK: named like an outcome, {table[name].nunique()} values ({listed(table[name])}): it may give the "
        f"label away; if it is a feature, move it to [[column]]; to predict it: --label {name!r} --positive VALUE"
        for name in names
        if named_like_an_outcome(name) and 2 < table[name].nunique() <= MOST_CLASSES
    }


UNSURE = "CHECK FIRST: no name says that it is sensitive; it is "
"""How the reason of a sensitive column begins that was taken for want of a better one."""


def guess_sensitive(table: pd.DataFrame, names: list[str], most_groups: int) -> tuple[list[str], str]:
    """Sensitive columns, that of sex first, then that of race, and why.

    Raises
    ------
    DataError
        If there is no column.
    """
    named = sorted((name for name in names if named_like_a_group(name)), key=group_order)
    if named:
        return named, "named like a sensitive attribute"
    two = [name for name in names if table[name].nunique() == 2]
    people = [name for name in two if named_like_a_trait(name)]
    few = [name for name in names if 2 <= table[name].nunique() <= most_groups]
    for found, why in (
        (people, "a column of two values that may describe people"),
        (two, "the first column with two values"),
        (few, "the first column with few values"),
        (names, "the first column"),
    ):
        if found:
            return found[:1], f"{UNSURE}{why}; name yours with --sensitive COLUMN"
    raise DataError("No column is left that could be a sensitive attribute. Add one and draft the card again.")
