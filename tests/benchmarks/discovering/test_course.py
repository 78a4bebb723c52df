"""A budget of time: sizes of later steps follow from what the steps before took, and stay once they are begun."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.discovering.context import Context
from benchmarks.discovering.run import discover
from benchmarks.discovering.settings import DiscoverySettings
from benchmarks.discovering.sizing.course import SIZES, Course
from benchmarks.discovering.sizing.sizes import KEPT, LEAST, Rates, estimated, with_sizes
from benchmarks.discovering.state import write_record
from benchmarks.discovering.step import Result, Step
from foundation.hashing import hash_json
from tests.benchmarks.discovering.test_run import asked
from tests.benchmarks.discovering.tiny import Noting

RATES = Rates(item=0.001, domain=0.01, read=0.0004, trained=0.001, draft=0.002)
SETTINGS = DiscoverySettings(steps=200)
WHOLE = estimated(SETTINGS, 10, RATES)


def course() -> Course:
    """A budget that the first estimate just keeps."""
    return Course(SETTINGS, 10, sum(WHOLE.values()) / KEPT / 60, rates=RATES)


def later(found: Course, *steps: str) -> float:
    """Estimated seconds of steps with the sizes that are planned now."""
    seconds = estimated(with_sizes(SETTINGS, found.sizes), 10, RATES)
    return sum(seconds[step] for step in steps)


def test_every_size_that_a_budget_may_lower_is_settled_by_one_step() -> None:
    assert sorted(name for names in SIZES.values() for name in names) == sorted(LEAST)


def test_steps_that_take_what_was_estimated_lower_nothing() -> None:
    found = course()
    left = 60 * (found.minutes or 0)
    for step, seconds in WHOLE.items():
        assert found.settings(step) == SETTINGS
        found.used(step, seconds)
        left -= seconds
        assert found.plan_again(left) == "" and found.pace() == 1


def test_a_slow_step_lowers_what_follows_and_not_what_was_begun() -> None:
    found = course()
    found.settings("1_capability")
    found.used("1_capability", 3 * WHOLE["1_capability"])
    prior = 60 * 0.1 * (found.minutes or 0)
    assert found.pace() == pytest.approx((3 * WHOLE["1_capability"] + prior) / (WHOLE["1_capability"] + prior))
    left = 60 * (found.minutes or 0) * 0.5
    said = found.plan_again(left)
    assert (
        f"{left:.0f} seconds are left; sizes of what follows are lowered: count {found.sizes['count']} (of 300)" in said
    )
    assert "items" not in found.sizes and found.settings("1_capability").items == SETTINGS.items
    rest = [step for step in WHOLE if step != "1_capability"]
    assert found.pace() * later(found, *rest) <= KEPT * left
    drafted = found.settings("3_data").count
    found.used("3_data", WHOLE["3_data"])
    found.plan_again(left / 4)
    assert found.settings("4_training").count == drafted, "step 4 learns from what step 3 made"
    assert (found.settings("4_training").steps or 200) < 200


def test_sizes_never_grow_again_and_too_little_time_is_told() -> None:
    found = course()
    found.settings("1_capability")
    found.used("1_capability", WHOLE["1_capability"])
    assert "Even so" in found.plan_again(1.0) and found.sizes["scenarios"] == LEAST["scenarios"]
    before = dict(found.sizes)
    assert found.plan_again(10_000.0) == "" and found.sizes == before
    over = course()
    assert over.plan_again(0.0) == "" and over.sizes == {}, "the run ends there, and has its whole budget next time"


def test_the_same_again_from_the_record() -> None:
    found = course()
    found.settings("1_capability")
    found.used("1_capability", 5 * WHOLE["1_capability"])
    found.plan_again(100.0)
    found.settings("2_plan")
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    again = Course.of_record(SETTINGS, 10, found.minutes, told)
    assert again.as_dict() == found.as_dict() and again.settings("3_data") == found.settings("3_data")


def test_a_run_plans_again_tells_it_and_goes_on_with_the_same_sizes(tmp_path: Path) -> None:
    time = [0.0]

    def steps() -> Iterator[Step]:
        for name, seconds, size in (("1_capability", 90.0, "items"), ("3_data", 5.0, "count")):

            def do(context: Context, seconds: float = seconds, size: str = size) -> Result:
                time[0] += seconds
                return {"value": getattr(context.settings, size)}

            yield Step(name=name, label=name, settings=SIZES[name], do=do, words=str)

    given = replace(asked(tmp_path), minutes=2.0, clock=lambda: time[0])
    planned = {"sizes": {}, "factor": 1.0, "rates": asdict(RATES)}
    write_record(tmp_path, {"planned": planned, "settings_hash": hash_json(given.settings.model_dump(mode="json"))})
    (tmp_path / "1_capability").mkdir()
    watcher = Noting()
    found = discover(given, watcher, steps=list(steps()))
    assert found.results["1_capability"]["value"] == 100
    assert found.results["3_data"]["value"] < 300
    assert any("30 seconds are left; sizes of what follows are lowered: count" in note for note in watcher.notes)
    again = Noting()
    assert discover(given, again, steps=list(steps())).results == found.results and again.done == []
