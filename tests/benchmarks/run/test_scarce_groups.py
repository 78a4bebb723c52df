"""A gap that the rows cannot tell: only methods that need it fail, and their failure is no evidence for anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmarks.cli import app

SUITE = """
name = "scarce"
tasks = ["{card}:race"]
splits = 1
trials = 1
batch = 1
methods = [
    "static_simplex", "utility", "result", "result_lambda0",
    "constant", "logistic_regression", "lightgbm", "reweighing",
]
budget = {{ steps = 20, eval_every = 10, warm_up = 5, rungs = [] }}
"""

NEED_THE_GAP = {"static_simplex", "result", "result_lambda0", "reweighing"}
"""Tuned for the gap, or stand on an expert that is."""

Ran = tuple[Path, str]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A finished run on rows whose group B has no positive label: its folder, and what was printed."""
    home = tmp_path_factory.mktemp("scarce")
    random = np.random.default_rng(0)
    race = np.where(np.arange(200) < 140, "A", "B")
    age = random.integers(18, 70, 200)
    hired = np.where((race == "A") & (age + random.normal(0, 10, 200) > 44), 1, 0)
    table = pd.DataFrame({"race": race, "age": age, "skill": random.normal(size=200).round(3), "hired": hired})
    table.to_csv(home / "loans.csv", index=False)
    assert CliRunner().invoke(app, ["data", "card", str(home / "loans.csv")]).exit_code == 0
    (home / "scarce.toml").write_text(SUITE.format(card=home / "loans.card.toml"))
    options = ["bench", str(home / "scarce.toml"), "--output", str(home / "out"), "--jobs", "1"]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 1, (done.output, done.exception)
    return home / "out", done.output


def test_only_methods_that_need_the_gap_fail_and_say_what_is_lacking(ran: Ran) -> None:
    table = pd.read_csv(ran[0] / "results.csv")
    failed = table[table["status"] == "failed"].set_index("method")["reason"]
    assert set(failed.index) == NEED_THE_GAP
    for reason in failed:
        assert "B has 0 positives, so fair_res@1 cannot be estimated on them" in reason


def test_the_others_are_scored_and_what_cannot_be_estimated_is_not_0(ran: Ran) -> None:
    table = pd.read_csv(ran[0] / "results.csv")
    test = table[table["part"] == "test"].set_index(["method", "metric"])
    for method in ("utility", "constant", "logistic_regression", "lightgbm"):
        assert test.loc[(method, "utility@1"), "status"] == "ok"
        for metric in ("eopp@1", "fair_res@1"):
            found = test.xs((method, metric))
            assert np.isnan(found["estimate"]) and found["status"] == "not_estimable"
            assert "B 0" in found["reason"]
    assert pd.read_csv(ran[0] / "levels.csv").empty  # nobody is known to keep a level, the constant predictor neither


def test_the_page_claims_nothing_from_failures(ran: Ran) -> None:
    markdown, page = ((ran[0] / f"leaderboard.{kind}").read_text(encoding="utf-8") for kind in ("md", "html"))
    said = "not known: 8 methods failed or have no gap that can be estimated"
    for text in (markdown, page):
        assert said in text
        assert "but a constant answer" not in text and "but for a constant answer" not in text
