"""Labels and groups of new rows, in the words of the card or as 0 and 1."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks.models.monitoring.labels import MonitorError, groups_of, labels_of
from tests.tasks.toys import toy_card

YES = toy_card(label={"column": "y", "positive": {"equals": ["yes"]}, "meaning": "one", "negative_meaning": "zero"})
ZERO = toy_card(label={"column": "y", "positive": {"equals": [0]}, "meaning": "one", "negative_meaning": "zero"})
OPEN = toy_card(
    label={
        "column": "y", "positive": {"equals": ["yes"]}, "meaning": "one", "negative_meaning": "zero",
        "unlabelled": ["open", ""],
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("card", "column", "expected"),
    [
        (YES, pd.Series(["yes", "no"], name="y"), [1, 0]),
        (YES, pd.Series(["yes", "no"], name="outcome"), [1, 0]),
        (YES, pd.Series([1, 0], name="outcome"), [1, 0]),
        (YES, pd.Series(["1.0", "0.0"], name="outcome"), [1, 0]),
        (YES, pd.Series([True, False], name="outcome"), [1, 0]),
        (ZERO, pd.Series([1, 0], name="y"), [0, 1]),  # by the card's rule
        (ZERO, pd.Series([1, 0], name="outcome"), [1, 0]),  # class 1 is class 1
        (OPEN, pd.Series(["yes", "open", None, "no"], name="y"), [1, -1, -1, 0]),
        (YES, pd.Series(["no", "no"], name="y"), [0, 0]),
    ],
)
def test_labels(card: object, column: pd.Series, expected: list[int]) -> None:
    assert labels_of(column, card).tolist() == expected  # type: ignore[arg-type]


def test_labels_that_say_nothing_are_named() -> None:
    with pytest.raises(MonitorError, match=r"'y' is empty in 2 rows, the first of them row 2"):
        labels_of(pd.Series(["yes", None, None], name="y"), YES)
    with pytest.raises(MonitorError, match=r"No value of the column 'z' is class 1 .*it holds 'bad', 'good'"):
        labels_of(pd.Series(["good", "bad"], name="z"), YES)


def test_groups_are_named_as_the_model_names_them() -> None:
    names = ("female", "male")
    assert groups_of(pd.Series(["male", " female"], name="g"), names).tolist() == [1, 0]
    with pytest.raises(MonitorError, match=r"'g' holds 'men' in row 2 .1 such rows.*'female', 'male'"):
        groups_of(pd.Series(["male", "men"], name="g"), names)
    with pytest.raises(MonitorError, match=r"row 1 .1 such rows"):
        groups_of(pd.Series([None, "male"], name="g"), names)
