"""How far a job is: by the seconds of its parts, as finished jobs or the plan know them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.plan.job import Job, plan
from benchmarks.plan.part_shares import NEARLY, PARTS, PartShares, expected_parts, own_entry
from benchmarks.plan.planned_parts import planned_parts
from benchmarks.plan.suite import Suite
from benchmarks.run.telling.ledger import Ledger
from benchmarks.run.telling.notify import PartsNotify
from tasks.registry import resolve

TUNE, MIXTURE, SCORE = own_entry("tune utility", None), own_entry("method mixture", 0), own_entry("score", 0)


def a_job() -> Job:
    settings = {"name": "small", "tasks": ("scm",), "splits": 1, "trials": 3, "methods": ("mixture", "lightgbm")}
    return next(iter(plan(Suite.model_validate(settings), {"scm": resolve("scm").card.hash})))


def test_parts_weigh_their_seconds() -> None:
    shares = PartShares({TUNE: 6.0, MIXTURE: 3.0, SCORE: 1.0})
    shares.reached(TUNE, 0.5)
    assert shares.share == pytest.approx(0.3)
    shares.reached(TUNE, 0.2)  # never back
    shares.reached("unknown (seed 0)", 1.0)
    assert shares.share == pytest.approx(0.3)
    shares.ended(TUNE)
    shares.spent(MIXTURE, 1.5)  # half of what was made on its way
    assert shares.share == pytest.approx(0.75)
    shares.spent(MIXTURE, 100.0)
    assert shares.share == pytest.approx(0.6 + 0.3 * NEARLY)
    shares.ended(MIXTURE)
    shares.ended(SCORE)  # scored once for each method: its seconds say how far it is
    assert shares.share == pytest.approx(0.9)
    shares.spent(SCORE, 5.0)
    assert shares.share == NEARLY


def test_nothing_is_known() -> None:
    shares = PartShares({})
    shares.ended(TUNE)
    assert shares.share == 0.0


def test_the_share_moves_within_a_method(tmp_path: Path) -> None:
    told: list[tuple[str, str, float]] = []
    watcher = PartsNotify("a", lambda *news: told.append(news), PartShares({MIXTURE: 1e-9, TUNE: 3e-9}))
    ledger = Ledger(tmp_path / "timing.json", watcher)
    watcher("a", "mixture", -1.0)
    with ledger.clock("method mixture", seed=0):
        with ledger.clock("bag utility", seed=0):
            pass
        assert told[-1][:2] == ("a", "mixture") and told[-1][2] == pytest.approx(0.25 * NEARLY)
    assert told[-1][2] == pytest.approx(0.25)
    ledger.reached("tune utility", 1 / 3)
    watcher("a", "tune utility", -1.0)
    assert told[-1][:2] == ("a", "tune utility") and told[-1][2] == pytest.approx(0.5)


def test_the_same_task_is_asked_first_then_any_finished_job_then_the_plan(tmp_path: Path) -> None:
    def ledger(folder: str, **seconds: float) -> None:
        (tmp_path / folder).mkdir(exist_ok=True)
        entries = {own_entry(part.replace("_", " "), 0): each for part, each in seconds.items()}
        (tmp_path / folder / "timing.json").write_text(json.dumps({"method mixture": 99.0, **entries}))

    home = tmp_path / "german_split0_abc"
    assert expected_parts(home, whole=True) == {}
    ledger("german_split0_abc", bag_utility=7.0)  # its own
    (home / PARTS).write_text(json.dumps({TUNE: 4.0}))
    ledger("german_split3_abc", bag_utility=50.0)  # not scored: not finished
    assert expected_parts(home, whole=True) == {TUNE: 4.0}
    ledger("bail_split0_abc", bag_utility=5.0, score=1.0)
    assert expected_parts(home, whole=True) == {"bag utility (seed 0)": 5.0, SCORE: 1.0}
    for split in (1, 2):
        ledger(f"german_split{split}_abc", bag_utility=float(split), score=2.0)
    assert expected_parts(home, whole=True) == {"bag utility (seed 0)": 1.5, SCORE: 2.0}
    assert expected_parts(home, whole=False) == {TUNE: 4.0}


def test_the_plan_knows_parts_of_what_is_missing() -> None:
    job = a_job()
    planned = planned_parts(job, job.cells())
    assert {TUNE, MIXTURE, SCORE, own_entry("method lightgbm", 0)} <= planned.keys()
    assert all(seconds >= 0 for seconds in planned.values()) and planned[MIXTURE] > 0
    assert MIXTURE not in planned_parts(job, [("lightgbm", 0)])
