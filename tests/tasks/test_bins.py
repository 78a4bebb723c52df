"""Codes read as named classes."""

from __future__ import annotations

import pandas as pd
import pytest
from pydantic import ValidationError

from tasks.bins import OTHER, binned
from tasks.card import ColumnSpec


def column(**more: object) -> ColumnSpec:
    bins = [
        {"name": "circulatory", "at_least": 390, "below": 460},
        {"name": "circulatory", "equals": ["785"]},
        {"name": "diabetes", "at_least": 250, "below": 251},
        {"name": "above nine hundred", "above": 900, "at_most": 999},
    ]
    return ColumnSpec.model_validate({"name": "diag", "kind": "categorical", "text": "diagnosis", "bins": bins, **more})


def test_codes_that_are_part_numbers_and_part_text() -> None:
    codes = pd.Series(
        ["390", "459.9", "460", "785", "250.83", "V57", None, "900", "999"], index=range(3, 12), name="diag"
    )
    found = binned(codes, column())
    wanted = ["circulatory", "circulatory", OTHER, "circulatory", "diabetes", OTHER, None, OTHER, "above nine hundred"]
    assert [None if pd.isna(v) else v for v in found] == wanted
    assert list(found.index) == list(range(3, 12)) and found.name == "diag"


def test_numbers_of_any_type_and_missing_codes() -> None:
    found = binned(pd.Series([785.0, -9.0, 400.0, float("nan")]), column(missing=[-9]))
    assert found.isna().tolist() == [False, True, False, True]
    assert found[0] == found[2] == "circulatory"


def test_a_code_in_two_bins_takes_the_first() -> None:
    both = ColumnSpec(
        name="x",
        kind="categorical",
        text="x",
        bins=({"name": "low", "below": 10}, {"name": "all", "below": 100}),  # type: ignore[arg-type]
    )
    assert binned(pd.Series([5, 50]), both).tolist() == ["low", "all"]


def test_bins_are_for_categories() -> None:
    with pytest.raises(ValidationError, match="bins need kind = 'categorical'"):
        column(kind="numeric")
