import math

import pandas as pd
import pytest

from reports.text.fronts import fronts
from tests.reports.conftest import KNOWN, method

METHODS = (method("llm_svf_search", 1, "mixture", "mixture"),)
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
        member(0, utility=0.5, fair_res=0.1, status="winner"),
        member(0, 1, utility=0.8, fair_res=0.2, said=0.79, status="rejected: fair_res@1: 0.3"),
        member(1, 1, utility=0.7, fair_res=0.1, said=0.72, status="winner", **{"alpha.utility": 0.25}),
        member(2, 1, utility=0.6, fair_res=0.15, status="base"),
        member(3, 1, utility=0.6, fair_res=0.05, status="front"),
    )  # fmt: skip
    (front,) = fronts(rows, METHODS, KNOWN)
    assert (front.split, front.splits, front.experts) == (1, 2, ("utility",))
    assert front.metrics == ("utility@1", "fair_res@1")
    words = [(m.number, m.word, m.remark) for m in front.members]
    assert words == [(1, "winner", ""), (3, "front", ""), (0, "rejected", "fair_res@1: 0.3"), (2, "", "base")]
    assert [m.number for m in front.named] == [1, 3, 0]
    assert front.members[0].weights == {"utility": 0.25}
    assert front.off("utility@1") == pytest.approx(0.02)
    assert math.isnan(front.members[1].off("utility@1"))


def test_what_lacks_an_axis_is_not_drawn():
    (front,) = fronts(table(member(0, utility=0.5), member(1, utility=0.5, fair_res=0.1)), METHODS, KNOWN)
    assert [m.number for m in front.drawable] == [1]


def test_no_rows_no_panel():
    assert fronts(table(), METHODS, KNOWN) == ()
