import math

import pandas as pd
import pytest

from reports.text.bias import bias, bias_sets
from tests.reports.conftest import BIAS_SETS, method

ROLES = {"llm_svf_search": "mixture", "llm_utility": "utility", "llm_base": "baseline"}
METHODS = tuple(method(m, i, role, "llm") for i, (m, role) in enumerate(ROLES.items(), start=1))
WORDS = bias_sets({"bias_sets": BIAS_SETS})
COLUMNS = [
    "method", "split", "set", "metric", "category", "estimate", "low", "high", "null_p95", "items", "status", "reason"
]  # fmt: skip


def row(method, name, metric, category, estimate, status="ok", reason="", split=0, items=10, null=math.nan):
    return [method, split, name, metric, category, estimate, estimate - 1, estimate + 1, null, items, status, reason]


def table(*rows):
    return pd.DataFrame(list(rows), columns=COLUMNS)


def test_base_first_then_adapters_then_mixtures_and_sets_in_their_order():
    rows = [row(m, s, k, "all", 1.0) for m in ROLES for s, k in (("winobias", "gap@1"), ("stereoset", "ss@1"))]
    found = bias(table(*rows), METHODS, WORDS)
    assert [m.id for m in found.methods] == ["llm_base", "llm_utility", "llm_svf_search"]
    assert found.columns == (("stereoset", "ss@1"), ("winobias", "gap@1"))
    assert found.sets == (("stereoset", 1), ("winobias", 1))


def test_whole_sets_are_apart_from_categories():
    found = bias(
        table(
            row("llm_base", "bbq", "acc_amb@1", "macro", 0.4),
            row("llm_base", "bbq", "acc_amb@1", "Age", 0.5, items=4),
            row("llm_base", "crows_pairs", "shared@1", "all", 55.0),
            row("llm_base", "crows_pairs", "total_delta@1", "all", 2.5),
        ),
        METHODS,
        WORDS,
    )
    assert found.get("llm_base", ("bbq", "acc_amb@1")).estimate == 0.4
    assert found.get("llm_base", ("bbq", "acc_amb@1"), "Age").items == 4
    assert found.categories["bbq"] == (("macro", "acc_amb@1"), ("Age", "acc_amb@1"))
    assert ("crows_pairs", "total_delta@1") not in found.columns  # in the fold
    assert ("all", "total_delta@1") in found.categories["crows_pairs"]
    assert found.items("bbq") == (10, 10)


def test_a_value_that_groups_dealt_at_random_reach_is_marked_and_a_mean_has_no_null_of_one_split():
    found = bias(
        table(
            row("llm_base", "bold", "nats_gap@1", "gender", 0.4, null=0.5),
            row("llm_base", "bold", "nats_gap@1", "race", 0.6, null=0.5),
            row("llm_base", "bold", "nats_gap@1", "religion", 0.6),
            row("llm_utility", "bold", "nats_gap@1", "gender", 0.4, null=0.5),
            row("llm_utility", "bold", "nats_gap@1", "gender", 0.4, null=0.5, split=1),
        ),
        METHODS,
        WORDS,
    )
    column = ("bold", "nats_gap@1")
    marked = {c: found.get("llm_base", column, c).within_null for c in ("gender", "race", "religion")}
    assert marked == {"gender": True, "race": False, "religion": False}
    assert math.isnan(found.get("llm_utility", column, "gender").null_p95)


def test_what_is_not_estimable_or_vacuous_keeps_its_reason():
    nan = math.nan
    found = bias(
        table(
            row("llm_base", "bbq", "s_amb@1", "macro", nan, "not_estimable", "u is 0"),
            row("llm_base", "winobias", "gap@1", "all", 0.0, "degenerate", "the pronoun is not looked at"),
        ),
        METHODS,
        WORDS,
    )
    missing, vacuous = found.get("llm_base", ("bbq", "s_amb@1")), found.get("llm_base", ("winobias", "gap@1"))
    assert not missing.known and missing.reason == "u is 0"
    assert vacuous.known and vacuous.vacuous
    assert found.reasons == ["the pronoun is not looked at", "u is 0"]
    assert found.get("llm_utility", ("bbq", "s_amb@1")) is None


def test_splits_are_averaged():
    found = bias(
        table(*(row("llm_base", "winobias", "gap@1", "all", v, split=i) for i, v in enumerate((1.0, 3.0)))),
        METHODS,
        WORDS,
    )
    value = found.get("llm_base", ("winobias", "gap@1"))
    assert (value.estimate, value.low, value.high, found.splits) == pytest.approx((2.0, 1.0, 3.0, 2))


def test_a_set_is_called_by_the_words_of_its_run():
    rows = table(row("llm_base", "mine", "gap@1", "all", 0.1), row("llm_base", "mine", "other_part@1", "all", 0.2))
    words = bias_sets(
        {"bias_sets": {"mine": {"label": "My set", "columns": {"gap@1": ["gap", "0 ideal", "a gap", 2]}}}}
    )
    found = bias(rows, METHODS, words)
    assert (found.label("mine"), found.head("mine", "gap@1").digits) == ("My set", 2)
    assert found.columns == (("mine", "gap@1"),)  # the other metric stands in the fold
    nameless = bias(rows, METHODS, {})
    assert (nameless.label("mine"), nameless.head("mine", "other_part@1").symbol) == ("mine", "other part")
    assert len(nameless.columns) == 2


def test_columns_keep_their_order_in_a_list():
    columns = [["ss@1", "SS %", "50 ideal", "", 1], ["icat@1", "ICAT"]]
    words = bias_sets({"bias_sets": {"stereoset": {"label": "StereoSet", "columns": columns}}})
    assert list(words["stereoset"].columns) == ["ss@1", "icat@1"]
    assert (words["stereoset"].columns["ss@1"].digits, words["stereoset"].columns["icat@1"].digits) == (1, 3)


def test_no_rows_no_panel():
    assert bias(table(), METHODS, WORDS) is None
