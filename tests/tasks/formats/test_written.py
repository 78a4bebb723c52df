"""Numbers as people write them: which way explains a column, and what cannot be told."""

from __future__ import annotations

import pandas as pd
import pytest

from tasks.formats.written import COMMA, POINT, Writing, as_point, understood, writing_of

GERMAN, ENGLISH, FRENCH = Writing(",", "."), Writing(".", ","), Writing(",", "\u202f")


@pytest.mark.parametrize(
    ("cell", "writing", "point"),
    [
        ("25.983,54", GERMAN, "25983.54"), ("1.234.567", GERMAN, "1234567"), ("1,234.50", ENGLISH, "1234.50"),
        ("-1\u202f234,5", FRENCH, "-1234.5"), (" 0,5 ", COMMA, "0.5"), ("7", GERMAN, "7"), ("1,5e3", COMMA, "1.5e3"),
        ("1.721", COMMA, ""), ("12.05.2020", GERMAN, ""), ("1.23,4", GERMAN, ""), ("1_000", POINT, ""), ("", POINT, ""),
    ],
)  # fmt: skip
def test_numbers_of_cells(cell: str, writing: Writing, point: str) -> None:
    assert as_point(cell, writing) == point


@pytest.mark.parametrize(
    ("columns", "writing"),
    [
        ([["25.983,54", "1,5"]], GERMAN),
        ([["1.234.567", "12"]], GERMAN),
        ([["1,234.50", "3"]], ENGLISH),
        ([["0,5", "1"], ["0,7"], ["1.5"]], COMMA),
        ([["0,5", "1"], ["1.5", "2"]], POINT),
        ([["1,234", "2,500"]], COMMA),  # a fraction, as there is no sign of thousands
        ([["0,5", "1.721"], ["0,25"]], COMMA),  # the mixed column is explained by neither
        ([["12.05.2020"], ["a"], []], POINT),
    ],
)
def test_the_writing_that_explains_most_columns(columns: list[list[str]], writing: Writing) -> None:
    assert writing_of({str(place): cells for place, cells in enumerate(columns)}) == writing


def test_what_could_be_meant_otherwise_is_no_sign() -> None:
    assert writing_of({"a": ["1,234", "2,500"]}, unclear=False) == POINT
    assert writing_of({"a": ["1.234"]}, COMMA, unclear=False) == COMMA


def test_columns_become_numbers_as_a_whole() -> None:
    whole = understood(pd.Series(["1.234", "7", None]), GERMAN)
    assert whole.tolist()[:2] == [1234, 7] and whole.isna().tolist() == [False, False, True]
    assert understood(pd.Series(["1.234", "7"]), GERMAN).dtype == "int64"
    for cells in (["1.234", "a"], ["1234567890123456", "1"]):
        assert understood(pd.Series(cells), GERMAN).tolist() == cells
