"""Raw rows as a model may be asked about them: cleaned as the file's rows were, and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from benchmarks.models.error import MissingColumnError, NoRowsError, RowsError, UnknownCategoryError, WrongTypeError
from tasks.card import Card
from tasks.encode import CodedWords, ColumnEncoder, Encoder
from tasks.frame import clean_text, empty_missing
from tasks.values import LARGEST, is_numeric, plain_numbers

Unknown = Literal["error", "missing"]
"""What a value does that no training row had: stop, or count as an empty cell."""
SHOWN = 5
"""Most values that an error lists."""


def cleaned(frame: pd.DataFrame, columns: Sequence[str], card: Card, task: str) -> pd.DataFrame:
    """The needed columns of raw rows, with blanks cut and the file's words for missing emptied, as when training.

    Raises
    ------
    RowsError
        If there are no rows, a column is absent (the text names all that are), or two have one name.
    """
    if not isinstance(frame, pd.DataFrame):
        raise RowsError(f"Rows are a pandas DataFrame with the raw columns of {task}, not {type(frame).__name__}.")
    there = set(frame.columns)
    absent = [name for name in columns if name not in there]
    if absent:
        raise MissingColumnError(
            f"The rows lack the column(s) {', '.join(absent)} that the model of {task} was trained with; they have "
            f"{_some(map(str, frame.columns), 12)}. Add them; an unknown value may be left empty, an unknown column "
            "may not."
        )
    twice = [] if frame.columns.is_unique else [name for name in columns if isinstance(frame[name], pd.DataFrame)]
    if twice:
        raise RowsError(f"Two columns of the rows are called {twice[0]!r}; drop or rename one of them.")
    if not len(frame):
        raise NoRowsError(f"The table has columns but no rows; give the model of {task} at least one row.")
    return clean_text(empty_missing(frame[list(columns)].copy(), card), card)


def check_values(
    frame: pd.DataFrame, encoder: Encoder, unknown: Unknown, words: Mapping[str, CodedWords] | None = None
) -> None:
    """Refuse text among numbers, and values that no training row had unless they count as missing.

    Parameters
    ----------
    frame : DataFrame
        As :func:`cleaned` gives it.
    encoder : Encoder
    unknown : {"error", "missing"}
    words : mapping of str to (codes, words), optional
        Of :func:`words_of`, where it was asked before.

    Raises
    ------
    WrongTypeError, UnknownCategoryError
        The text names columns, values and rows.
    """
    if unknown not in ("error", "missing"):
        raise RowsError(f'unknown is "error" or "missing", not {unknown!r}.')
    for column in encoder.encoders:
        if column.kind == "numeric":
            _check_numbers(frame[column.name], column)
    if unknown == "missing":
        return
    words = words_of(frame, encoder) if words is None else words
    strange = {c.name: _strange(words[c.name], c) for c in encoder.encoders if c.kind != "numeric"}
    strange = {name: found for name, found in strange.items() if found}
    if strange:
        told = "; ".join(f"{name}: {_some(found, SHOWN)}" for name, found in strange.items())
        raise UnknownCategoryError(
            f"The rows hold values that no training row had: {told}. Correct them if they are misspelled; to have them "
            'count as unknown, as the benchmark does, pass unknown="missing".'
        )


def words_of(frame: pd.DataFrame, encoder: Encoder) -> dict[str, CodedWords]:
    """Codes and words of the columns that hold no numbers: what is looked at twice is made once."""
    return {c.name: c.words(frame[c.name]) for c in encoder.encoders if c.kind != "numeric"}


def _check_numbers(series: pd.Series, column: ColumnEncoder) -> None:
    codes = column.spec.missing
    if is_numeric(series) and not (np.abs(plain_numbers(series)) > LARGEST).any():
        return
    values = series if is_numeric(series) else series.astype("object").where(~series.isin([str(c) for c in codes]))
    numbers = pd.to_numeric(values, errors="coerce").astype(np.float64)
    text = (numbers.isna() & values.notna()).to_numpy()
    large = (numbers.abs() > LARGEST).to_numpy() & ~numbers.isin([float(c) for c in codes if _is_float(c)]).to_numpy()
    wrong = np.flatnonzero(text | large)
    if not len(wrong):
        return
    held = values.iloc[wrong[0]]
    more = f" ({len(wrong)} such cells)" if len(wrong) > 1 else ""
    what = "is not a number" if text[wrong[0]] else "is too large"
    raise WrongTypeError(
        f"Column {column.name!r} holds numbers, but row {wrong[0] + 1} has {str(held)!r}, which {what}{more}. Correct "
        "the cell, or leave it empty if the value is unknown."
    )


def _is_float(code: Any) -> bool:
    try:
        float(code)
    except ValueError:
        return False
    return True


def _strange(words: CodedWords, column: ColumnEncoder) -> list[str]:
    """Values of a column that no training row had, each with the first row that has it."""
    known = {*column.categories, *column.rare}
    codes, held = words
    found = []
    for code, value in enumerate(held):
        if value in known:
            continue
        rows = np.flatnonzero(codes == code)
        found.append(f"{value!r} in row {rows[0] + 1}{f' and {len(rows) - 1} more' if len(rows) > 1 else ''}")
    return found


def _some(words: Iterable[str], most: int) -> str:
    listed = list(words)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + rest
