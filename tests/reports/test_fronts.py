import math

import pandas as pd
import pytest

from reports.fronts import fronts
from reports.names import method_name
from reports.winners import Method

METHODS = (Method("llm_svf_search", 1, method_name("llm_svf_search"), "mixture", "mixture"),)
COLUMNS = ["method", "split", "seed", "member", "quantity", "estimate", "surrogate", "status"]


def member(number, split=0, said=math.nan, status="", **quantities):
    flags = {f"{k}@1" if k in ("utility", "fair_res") else k: v for k, v in quantities.items()}
    return [
        ["llm_svf_search", split, 0, number, q, v, said if q.endswith("@1") else math.nan, status]
        for q, v in flags.items()
    ]


def table(*members):
    return pd.DataFrame([row for part in members for row in part], columns=COLUMNS)


def test_the_last_split_is_told_and_members_have_their_words():
    rows = table(
        member(0, utility=0.5, fair_res=0.1, on_front=1.0, winner=1.0),
        member(0, 1, utility=0.8, fair_res=0.2, on_front=1.0, rejected=1.0, said=0.79, status="rejected: no"),
        member(1, 1, utility=0.7, fair_res=0.1, on_front=1.0, winner=1.0, said=0.72, **{"alpha.utility": 0.25}),
        member(2, 1, utility=0.6, fair_res=0.15, on_front=0.0, winner=0.0),
    )  # fmt: skip
    (front,) = fronts(rows, METHODS)
    assert (front.split, front.splits, front.experts, front.metrics) == (
        1,
        2,
        ("utility",),
        ("utility@1", "fair_res@1"),
    )
    assert [(m.number, m.word) for m in front.members] == [(1, "winner"), (0, "rejected"), (2, "")]
    assert [m.number for m in front.named] == [1, 0]
    assert front.members[0].weights == {"utility": 0.25}
    assert front.members[1].remarks == ("rejected: no",)
    assert front.off("utility@1") == pytest.approx(0.02)


def test_without_flags_every_member_is_on_the_front():
    (front,) = fronts(table(member(3, utility=0.5, fair_res=0.1)), METHODS)
    assert [m.word for m in front.members] == ["front"]
    assert math.isnan(front.off("utility@1"))


def test_what_lacks_an_axis_is_not_drawn():
    (front,) = fronts(table(member(0, utility=0.5), member(1, utility=0.5, fair_res=0.1)), METHODS)
    assert [m.number for m in front.drawable] == [1]


def test_no_rows_no_panel():
    assert fronts(table(), METHODS) == ()
