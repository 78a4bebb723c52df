"""Columns of plain numbers take a short way to the same values; codes and words are those of the column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.values import as_numbers, as_words, coded_words

COLUMNS = [
    pd.Series([1, 2, -9]), pd.Series([1.5, np.nan, -9.0]), pd.Series([True, False, True]),
    pd.Series([1, None, -9], dtype="Int64"), pd.Series([1.5, None, -9], dtype="Float64"),
    pd.Series([True, None, False], dtype="boolean"),
]  # fmt: skip


@pytest.mark.parametrize("series", COLUMNS, ids=lambda series: str(series.dtype))
def test_numbers_are_those_of_the_same_column_as_text(series: pd.Series) -> None:
    text = series.map(lambda value: str(float(value)), na_action="ignore").astype("object")
    found = as_numbers(series, [-9])
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, as_numbers(text, [-9]))
    assert found.index.equals(series.index)


@pytest.mark.parametrize("series", [*COLUMNS, pd.Series(["b", "a", None, "3", "20"], index=[4, 3, 2, 1, 0])])
def test_codes_and_words_are_those_of_the_categorical_column(series: pd.Series) -> None:
    codes, words = coded_words(series, [-9, "b"])
    wanted = as_words(series, [-9, "b"])
    assert words == wanted.cat.categories.tolist()
    assert codes.tolist() == wanted.cat.codes.tolist()
