"""Raw values in canonical form, so that a card's values and a file's cells can be compared.

Numbers are float64 with NaN for *missing*. Words are text: the whole number 3, 3.0 and "3" are all the word ``3``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from tasks.card import DataError, Rule

Raw = str | int | float


def word(value: object) -> str:
    """Canonical text of one raw value; a whole number has no decimal point."""
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, (float, np.floating)) and math.isfinite(value) and float(value).is_integer():
        return str(int(value))
    return str(value)


def is_numeric(series: pd.Series) -> bool:
    """Whether the file's own type of the column is a number or a truth value."""
    return bool(pd.api.types.is_numeric_dtype(series.dtype))


def as_words(series: pd.Series, missing: Iterable[Raw] = ()) -> pd.Series:
    """[n] categorical text with sorted categories; codes in ``missing`` become missing."""
    codes, uniques = pd.factorize(series, use_na_sentinel=True)
    texts = np.array([word(value) for value in uniques], dtype=object)
    absent = {word(code) for code in missing}
    kept = sorted({text for text in texts if text not in absent}, key=sort_key)
    position = {text: index for index, text in enumerate(kept)}
    table = np.array([position.get(text, -1) for text in texts] + [-1], dtype=np.int64)
    return pd.Series(
        pd.Categorical.from_codes(table[codes], categories=pd.Index(kept, dtype="object")),
        index=series.index,
        name=series.name,
    )


def as_numbers(series: pd.Series, missing: Iterable[Raw] = ()) -> pd.Series:
    """[n] float64; codes in ``missing`` become NaN.

    Raises
    ------
    DataError
        If the column holds text that is no number, or infinite values.
    """
    absent = list(missing)
    values = series
    if not is_numeric(series):
        values = series.astype("object").where(~series.isin([str(code) for code in absent]), np.nan)
    numbers = pd.to_numeric(values, errors="coerce").astype(np.float64)
    wrong = numbers.isna() & values.notna()
    if wrong.any():
        raise DataError(
            f"Column {series.name!r} is declared numeric but holds {values[wrong].iloc[0]!r} "
            f"({int(wrong.sum())} such cells). "
            "Name the value in the column's missing = [...] in the card, or declare the column categorical."
        )
    codes = [float(code) for code in absent if _is_number(code)]
    numbers = numbers.mask(numbers.isin(codes)) if codes else numbers
    if np.isinf(numbers.to_numpy()).any():
        raise DataError(
            f"Column {series.name!r} holds infinite values; name them in the column's missing = [...] in the card."
        )
    return numbers


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
        wanted = {word(value) for value in rule.equals} | {
            _number_word(value) for value in rule.equals if is_numeric(series)
        }
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


def _number_word(value: Raw) -> str:
    """The word of "1.0" or "True" where the column holds numbers."""
    if isinstance(value, str):
        if value.lower() in ("true", "false"):
            return str(int(value.lower() == "true"))
        return word(float(value)) if _is_number(value) else value
    return word(value)


def _is_number(value: Raw) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False
