import math

import pandas as pd
import pytest

from reports.text.wording import wording
from tests.reports.conftest import method

METHODS = (method("llm_utility", 1, "utility", "llm"),)


def rows(values):
    """``values``: split → template → utility."""
    return pd.DataFrame(
        [
            {
                "method": "llm_utility",
                "metric": "utility@1",
                "part": "test",
                "split": split,
                "template": template,
                "estimate": value,
            }
            for split, by_template in values.items()
            for template, value in by_template.items()
        ],
        columns=["method", "metric", "part", "split", "template", "estimate"],
    )


def test_spread_is_taken_within_splits_and_then_averaged():
    table = rows({0: {"list": 0.7, "record": 0.8, "sentence": 0.6}, 1: {"list": 0.7, "record": 0.6, "sentence": 0.7}})
    found = wording(table, METHODS, trained="sentence")
    spread = found.get("llm_utility", "utility@1")
    assert spread.spread.mean == pytest.approx((0.2 + 0.1) / 2)  # not 0.05, the spread of the means
    assert spread.values == pytest.approx({"list": 0.7, "record": 0.7, "sentence": 0.65})
    assert found.templates == ("sentence", "list", "record")
    assert found.methods == METHODS


def test_seeds_are_averaged_first():
    once = rows({0: {"list": 0.7, "sentence": 0.6}})
    other = once.assign(estimate=once["estimate"] + [0.0, 0.1])
    found = wording(pd.concat([once, other]), METHODS)
    assert found.get("llm_utility", "utility@1").spread.mean == pytest.approx(0.05)


def test_one_template_has_no_spread():
    found = wording(rows({0: {"sentence": 0.6}}), METHODS)
    assert found.get("llm_utility", "utility@1").spread.n == 0
    assert found.get("llm_utility", "dp@1") is None


def test_a_template_that_cannot_be_estimated_leaves_no_spread():
    table = rows(
        {0: {"list": 0.7, "record": math.nan, "sentence": 0.6}, 1: {"list": 0.5, "record": 0.6, "sentence": 0.8}}
    )
    found = wording(table, METHODS)
    assert found.get("llm_utility", "utility@1").spread.mean == pytest.approx(0.3)


def test_validation_rows_are_told_where_there_are_no_test_rows():
    table = rows({0: {"list": 0.7, "sentence": 0.6}})
    other = table.assign(part="validation", estimate=[0.5, 0.9])
    assert wording(pd.concat([table, other]), METHODS).get("llm_utility", "utility@1").spread.mean == pytest.approx(0.1)
    alone = wording(other, METHODS)
    assert (alone.part, alone.get("llm_utility", "utility@1").spread.mean) == ("validation", pytest.approx(0.4))


def test_no_rows_no_panel():
    assert wording(rows({}), METHODS) is None
