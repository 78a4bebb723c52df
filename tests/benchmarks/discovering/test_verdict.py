"""The verdict that the command tells."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.discovering.telling.verdict import _of_preserved


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("perplexity", "tools is NOT shown to be preserved: -1.058 nats a token [-1.646, -0.518], margin 0.1 nats"),
        ("choice", "tools is NOT shown to be preserved: -105.8 points [-164.6, -51.8], margin 10 points"),
    ],
)
def test_log_probabilities_are_told_in_nats_and_shares_in_points(kind: str, said: str) -> None:
    task: dict[str, Any] = {
        "name": "tools", "kind": kind, "n": 24, "before": -8.58, "after": -9.64, "difference": -1.0579,
        "low": -1.6462, "high": -0.5184, "margin": 0.1, "preserved": False,
    }  # fmt: skip
    assert list(_of_preserved({"tasks": [task]})) == [said]
