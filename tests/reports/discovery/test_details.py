"""The lines that the command tells below the verdict."""

from __future__ import annotations

from typing import Any

import pytest

from reports.discovery.details import details
from reports.discovery.reading import Discovery


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("perplexity", "tools is NOT shown to be preserved: −1.058 nats a token [−1.646, −0.518], margin 0.1 nats"),
        ("choice", "tools is NOT shown to be preserved: −105.8 points [−164.6, −51.8], margin 10 points"),
    ],
)
def test_log_probabilities_are_told_in_nats_and_shares_in_points(kind: str, said: str) -> None:
    task: dict[str, Any] = {
        "name": "tools", "kind": kind, "n": 24, "before": -8.58, "after": -9.64, "difference": -1.0579,
        "low": -1.6462, "high": -0.5184, "margin": 0.1, "preserved": False,
    }  # fmt: skip
    assert details(Discovery({}, {"preserve": {"tasks": [task]}})) == [said]


def test_a_task_that_the_base_cannot_do_has_nothing_to_lose() -> None:
    task = {"name": "tools", "kind": "choice", "before": 0.03, "preserved": None}
    told = details(Discovery({}, {"preserve": {"tasks": [task]}}))
    assert told == ["tools has nothing to lose: 3 of 100 are right with the base"]


def test_experts_rivals_and_costs_have_a_line_each() -> None:
    gain, lost = {"estimate": 0.2, "low": 0.1, "high": 0.3}, {"estimate": -0.2, "low": -0.3, "high": -0.1}
    domains = [
        {"domain": "sql", "expert": "tables", "gain": gain, "winner_gain": lost},
        {"domain": "dates", "expert": None, "gain": gain, "winner_gain": {"estimate": -0.2, "low": None, "high": None}},
        {"domain": "strings", "expert": "letters", "gain": {"estimate": 0.1, "low": None, "high": None}},
        {"domain": "lookup", "expert": "letters", "gain": None},
    ]
    paired = [
        {"label": "mixture 1", "rival": "uniform", "difference": -0.05, "low": -0.1, "high": 0.01, "keeps": False},
        {"label": "mixture 1", "rival": "base", "difference": -0.05, "low": -0.1, "high": -0.01, "keeps": True},
    ]
    assert details(Discovery({}, {"examination": {"domains": domains, "paired": paired}})) == [
        "tables on sql: better than the base, +20.0 points [+10.0, +30.0]",
        "letters on strings: +10.0 points, how surely is not known",
        "letters on lookup: not measured",
        "mixture 1 against uniform: not told apart from it, −5.0 points [−10.0, +1.0] "
        "(a rival that breaks a constraint)",
        "mixture 1 against base: worse than it, −5.0 points [−10.0, −1.0]",
        "It costs sql: −20.0 points [−30.0, −10.0]",
    ]


def test_a_task_that_could_not_be_measured_has_its_reason() -> None:
    task = {"name": "bias", "kind": "bias", "n": 0, "before": None, "preserved": None, "reason": "no such file"}
    assert details(Discovery({}, {"preserve": {"tasks": [task]}})) == ["bias is not measured: no such file"]
