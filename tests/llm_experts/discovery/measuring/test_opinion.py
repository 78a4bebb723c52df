"""Opinions of a model on itself: read from text, and scored by hand."""

import pytest

from llm_experts.discovery.measuring.opinion import Opinion, OpinionScore, score_opinions, share_in


@pytest.mark.parametrize(
    ("text", "share"),
    [(" 85", 0.85), ("85 of 100", 0.85), ("About 40%.", 0.4), ("100", 1.0), ("0", 0.0), ("250", None), ("-3", None),
     ("yes", None), ("", None), ("a number from 0 to 100 is", None), ("from 0 to 100: 70", 0.7),
     ("1. Yes.\n2. No.", None)],
)  # fmt: skip
def test_numbers_are_read(text: str, share: float | None) -> None:
    assert share_in(text) == share


def test_scores_of_opinions_worked_by_hand() -> None:
    """Stated .5 and 1 of shares .5 and .5: errors 0 and .5; Brier (.25 + (.25 + .25)) / 2; τ needs two shares."""
    told = [Opinion(0.5, "50", 0.2), Opinion(1.0, "100", 0.4), Opinion(None, "?", 0.6)]
    found = score_opinions(told, [0.5, 0.5, 0.5])
    assert (found.asked, found.read, found.brier, found.error, found.tau) == (3, 2, 0.375, 0.25, None)
    assert found.yes_error == pytest.approx((0.3 + 0.1 + 0.1) / 3)


def test_order_is_scored_by_kendalls_tau() -> None:
    """Three of three pairs in order: τ = 1, and one of six orders is as good or reversed: p = 1 / 3."""
    told = [Opinion(share, str(share), share) for share in (0.1, 0.2, 0.9)]
    found = score_opinions(told, [0.3, 0.5, 0.6])
    assert found.tau == pytest.approx(1) and found.p == pytest.approx(1 / 3)
    assert score_opinions(told, [0.6, 0.5, 0.3]).tau == pytest.approx(-1)


def test_nothing_asked_is_nothing_scored() -> None:
    found = score_opinions([Opinion(), Opinion()], [0.5, 0.6])
    assert found == OpinionScore(0, 0) and OpinionScore.from_dict(found.as_dict()) == found
