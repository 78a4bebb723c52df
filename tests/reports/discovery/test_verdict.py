"""The verdict says what the files say: better, worse, not separable, refused, not examined."""

from __future__ import annotations

from typing import Any

import pytest

from reports.discovery.reading import Discovery
from reports.discovery.verdict import p_text, verdict
from tests.reports.discovery.sample import sample, span


@pytest.fixture
def results() -> dict[str, Any]:
    return sample()


def of(results: dict[str, Any]) -> Discovery:
    return Discovery(results["top"], {name: node for name, node in results.items() if name != "top"})


def test_a_sure_gain_is_told_with_its_interval(results: dict[str, Any]) -> None:
    told = verdict(of(results))
    assert told.good is True
    expected = "The candidate mixture 1 is accepted: +20.9 points of accuracy [+16.9, +24.9] better than the base."
    assert told.headline == expected
    said = " ".join(told.sentences)
    assert "surely better than numbers (+14.7), formats (+14.6), tables (+10.8), uniform (+9.3)" in said
    assert (
        "surely better than the base in 7 of 10, not separable in 3, surely worse in 0. Better in 6 after Holm" in said
    )
    assert "pays for it in strings (−12.0)" in said
    assert "2 of 3 tasks; not shown for persona" in said and "2 passed, 1 failed, 1 could not be measured" in said
    sure = " ".join(told.sure)
    assert "500 scenarios" in sure and "below about 4.0 points" in sure and "p = 0.001" in sure


def test_a_gain_that_is_none_is_not_told_as_one(results: dict[str, Any]) -> None:
    results["examination"]["paired"][-1] |= {"difference": 0.02, "low": -0.01, "high": 0.05, "p": 0.2}
    told = verdict(of(results))
    assert told.good is False and "not separable from the base" in told.headline


def test_no_winner_is_a_result(results: dict[str, Any]) -> None:
    results["examination"] |= {"winner": None, "accepted": False}
    told = verdict(of(results))
    assert (
        told.good is False and told.headline == "No mixture was accepted: the base stays. 1 contender had objections."
    )
    assert not any("Against other ways" in sentence for sentence in told.sentences)
    results["examination"] |= {"winner": "base", "accepted": True}
    assert verdict(of(results)).headline == "Nothing beat the base: it stays as it is."


def test_a_winner_that_was_not_accepted_is_no_winner(results: dict[str, Any]) -> None:
    results["examination"]["accepted"] = False
    assert verdict(of(results)).headline.startswith("No mixture was accepted")


def test_single_and_uniform_winners_have_their_names(results: dict[str, Any]) -> None:
    results["examination"]["winner"] = "tables"
    assert verdict(of(results)).headline == "The single expert tables is accepted."
    results["examination"]["winner"] = "uniform"
    assert verdict(of(results)).headline == "The uniform mixture is accepted."


def test_without_costs_the_lowest_change_is_told(results: dict[str, Any]) -> None:
    for row in results["examination"]["domains"]:
        row["winner_gain"] = span(0.1, 0.02)
    results["examination"]["domains"][2]["winner_gain"] = span(-0.01, 0.02)
    said = " ".join(verdict(of(results)).sentences)
    assert "No domain surely loses" in said and "sql, −1.0 points [−3.0, 1.0]" in said


def test_before_the_examination_there_is_no_verdict(results: dict[str, Any]) -> None:
    told = verdict(Discovery(results["top"], {"capability": results["capability"], "plan": results["plan"]}))
    assert told.good is None and told.headline.startswith("No verdict yet") and told.sure == ()
    assert told.sentences == ("The base was measured in 10 domains.", "3 experts planned: numbers, formats, tables.")
    assert verdict(Discovery({}, {})).headline == "Nothing has been measured yet."


def test_p_has_no_more_digits_than_it_deserves() -> None:
    assert [p_text(p) for p in (0.0002, 0.04, 0.5)] == ["below 0.001", "= 0.040", "= 0.500"]


def test_a_base_that_stays_is_not_told_as_a_winner(results: dict[str, Any]) -> None:
    results["examination"] |= {"winner": "base", "accepted": False}
    results["examination"]["paired"] = [
        {"label": "base", "rival": "formats", "difference": 0.04, "low": 0.01, "high": 0.08, "p": 0.1}
    ]
    told = verdict(of(results))
    assert told.headline.startswith("No mixture was accepted: the base stays.")
    assert any("What stays, against the experts, in points: surely better than formats" in s for s in told.sentences)
    assert not any("winner" in sentence for sentence in told.sentences)
    results["examination"]["winner"] = "tables"
    assert verdict(of(results)).headline.startswith("No mixture was accepted: what is left is tables.")
