"""Raw values in canonical form, so that a card's values and a file's cells can be compared.

Numbers are float64 with NaN for *missing*. Words are text: the whole number 3, 3.0 and "3" are all the word ``3``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from numbers import Number

import numpy as np
import pandas as pd

from tasks.card import DataError, Rule

Raw = str | int | float
LARGEST = float(np.finfo(np.float32).max)
"""Largest number that a feature can hold: features are float32."""
FLOAT_DIGITS = 2.0**53
"""From here on a float64 does not hold every whole number."""


def word(value: object) -> str:
    """Canonical text of one raw value; a whole number has no decimal point, whatever type the file gave it."""
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, Decimal) and value.is_finite():
        return str(int(value)) if value == value.to_integral_value() else f"{value.normalize():f}"
    if isinstance(value, (float, np.floating)) and math.isfinite(value) and float(value).is_integer():
        return str(int(value))
    return str(value)


def is_numeric(series: pd.Series) -> bool:
    """Whether the file's own type of the column is a number or a truth value."""
    return bool(pd.api.types.is_numeric_dtype(series.dtype))


def words_in(series: pd.Series, values: Iterable[Raw]) -> set[str]:
    """Words of a card's values as they occur in this column: where it holds numbers, "1.0" and "True" are the word 1.

    A column of truth values with an empty cell, of decimals or of very long whole numbers has no numeric type of its
    own, but holds numbers all the same.
    """
    listed = list(values)
    words = {word(value) for value in listed}
    return words | {number_word(value) for value in listed} if listed and _holds_numbers(series) else words


def _holds_numbers(series: pd.Series) -> bool:
    if is_numeric(series):
        return True
    if series.dtype != object:
        return False
    held = series.dropna().unique()
    return bool(len(held)) and all(isinstance(value, (Number, np.bool_)) for value in held)


def as_words(series: pd.Series, missing: Iterable[Raw] = ()) -> pd.Series:
    """[n] categorical text with sorted categories; codes in ``missing`` become missing."""
    codes, kept = coded_words(series, missing)
    return pd.Series(
        pd.Categorical.from_codes(codes, categories=pd.Index(kept, dtype="object")),
        index=series.index,
        name=series.name,
    )


def coded_words(series: pd.Series, missing: Iterable[Raw] = ()) -> tuple[np.ndarray, list[str]]:
    """What :func:`as_words` makes, without a Series around it.

    Returns
    -------
    codes : [n] int64
        Position of each row's word, -1 for a missing one.
    words : list of str
        Those that occur, sorted.
    """
    codes, uniques = pd.factorize(series, use_na_sentinel=True)
    texts = [word(value) for value in uniques]
    absent = words_in(series, missing)
    kept = sorted({text for text in texts if text not in absent}, key=sort_key)
    position = {text: index for index, text in enumerate(kept)}
    table = np.array([position.get(text, -1) for text in texts] + [-1], dtype=np.int64)
    return table[codes], kept


def as_numbers(series: pd.Series, missing: Iterable[Raw] = ()) -> pd.Series:
    """[n] float64; codes in ``missing`` become NaN.

    Raises
    ------
    DataError
        If the column holds text that is no number, infinite values, or numbers too large for a feature.
    """
    absent = list(missing)
    if is_numeric(series):
        return _numbers_without(pd.Series(plain_numbers(series), series.index, name=series.name), absent)
    values = series.astype("object").where(~series.isin([str(code) for code in absent]), np.nan)
    numbers = pd.to_numeric(values, errors="coerce").astype(np.float64)
    wrong = numbers.isna() & values.notna()
    if wrong.any():
        raise DataError(
            f"Column {series.name!r} is declared numeric but holds {values[wrong].iloc[0]!r} "
            f"({int(wrong.sum())} such cells). "
            "Name the value in the column's missing = [...] in the card, or declare the column categorical."
        )
    return _numbers_without(numbers, absent)


def plain_numbers(series: pd.Series) -> np.ndarray:
    """[n] float64 of a column whose own type is a number or a truth value; NaN where it is empty."""
    return series.to_numpy(np.float64, na_value=np.nan)


def _numbers_without(numbers: pd.Series, absent: list[Raw]) -> pd.Series:
    codes = [float(code) for code in absent if _is_number(code) or _is_infinite(code)]
    numbers = numbers.mask(numbers.isin(codes)) if codes else numbers
    _refuse_too_large(numbers)
    return numbers


def _refuse_too_large(values: pd.Series) -> None:
    """Refuse what would make every other value of the column alike: inf, 1e200, the largest double as a code."""
    wild = np.abs(values.to_numpy()) > LARGEST
    if not wild.any():
        return
    large = values[wild]
    held = ", ".join(f'"{value!r}"' for value in large.unique()[:6].tolist())
    what = "infinite values" if np.isinf(large.to_numpy()).all() else f"numbers beyond {LARGEST:.2g}"
    raise DataError(
        f"Column {values.name!r} holds {what} in {len(large)} cells ({held}). If they mean that nothing is known, name "
        f"them in the card: missing = [{held}] in the [[column]] {values.name!r}, or, as the file writes them, missing "
        "in [read], which empties such cells of every column. Otherwise correct the file."
    )


def exact_integers(table: pd.DataFrame, texts: Callable[[list[str]], pd.DataFrame]) -> pd.DataFrame:
    """The table with long whole numbers in full where an empty cell had made them floats, which hold 15 digits.

    Two persons whose ids differ in the eighteenth digit stay two persons.

    Parameters
    ----------
    table : [n] DataFrame
        As a reader typed it; changed in place.
    texts : callable
        The same rows of the named columns as text or Python integers, with NaN for an empty cell.
    """
    long = [c for c in table.columns if table[c].dtype == np.float64 and (table[c].abs() >= FLOAT_DIGITS).any()]
    if not long:
        return table
    again = texts(long)
    for name in long:
        held = again[name].dropna().map(str)
        if held.str.fullmatch(r"\s*[-+]?[0-9]{1,400}\s*").all():
            cells = np.full(len(table), np.nan, dtype=object)
            cells[again[name].notna().to_numpy()] = [int(text) for text in held]
            table[name] = pd.Series(cells, index=table.index, dtype=object)
    return table


def constant(series: pd.Series, value: Raw) -> pd.Series:
    """[n] the same value in every row, in the column's own type; a word is added to the categories if it is new."""
    kind = series.dtype
    if not isinstance(kind, pd.CategoricalDtype):
        return pd.Series(value, index=series.index, name=series.name, dtype=kind)
    missing = isinstance(value, float) and math.isnan(value)
    if not missing and value not in kind.categories:
        kind = pd.CategoricalDtype(pd.Index(sorted([*kind.categories, value], key=sort_key), dtype="object"))
    code = -1 if missing else list(kind.categories).index(value)
    cells = pd.Categorical.from_codes(np.full(len(series), code, dtype=np.int16), dtype=kind)
    return pd.Series(cells, index=series.index, name=series.name)


def matches(series: pd.Series, rule: Rule) -> np.ndarray:
    """[n] bool: which values of a raw column pass a rule; a missing value passes none.

    Raises
    ------
    DataError
        If the rule has bounds and the column holds text.
    """
    if rule.equals:
        codes, uniques = pd.factorize(series, use_na_sentinel=True)
        wanted = words_in(series, rule.equals)
        return np.array([word(value) in wanted for value in uniques] + [False], dtype=bool)[codes]
    numbers = as_numbers(series).to_numpy()
    passed: np.ndarray = ~np.isnan(numbers)
    for bound, test in (
        (rule.at_least, np.greater_equal),
        (rule.below, np.less),
        (rule.above, np.greater),
        (rule.at_most, np.less_equal),
    ):
        if bound is not None:
            with np.errstate(invalid="ignore"):
                passed &= test(numbers, bound)
    return passed


def sort_key(text: str) -> tuple[int, float, str]:
    """Order of words: numbers by value, then other text by its characters."""
    return (0, float(text), text) if _is_number(text) else (1, 0.0, text)


def number_word(value: Raw) -> str:
    """The word of "1.0", "True" or "Infinity" where the column holds numbers."""
    if isinstance(value, str):
        if value.lower() in ("true", "false"):
            return str(int(value.lower() == "true"))
        return word(_number(value)) if _is_number(value) or _is_infinite(value) else value
    return word(value)


def _number(text: str) -> int | float:
    """A whole number keeps all its digits."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def _is_number(value: Raw) -> bool:
    try:
        return math.isfinite(float(value))
    except (ValueError, OverflowError):
        return False


def _is_infinite(value: Raw) -> bool:
    try:
        return math.isinf(float(value))
    except (ValueError, OverflowError):
        return False
