"""The time left of a run is about right, and never grows faster than the clock."""

from __future__ import annotations

import pytest

from benchmarks.run.telling.time_left import TimeLeft, in_words


def test_jobs_that_go_as_estimated() -> None:
    left = TimeLeft({"a": 100.0, "b": 300.0}, workers=1)
    assert left.seconds(0.0) == pytest.approx(400)
    left.reached("a", 1.0)
    assert left.seconds(100.0) == pytest.approx(300) and left.share == pytest.approx(0.25)
    left.reached("b", 0.5)
    assert left.seconds(250.0) == pytest.approx(150)
    left.reached("b", 1.0)
    assert left.seconds(400.0) == pytest.approx(0)


def test_a_slower_machine_is_noticed() -> None:
    left = TimeLeft({"a": 100.0, "b": 100.0}, workers=1)
    left.reached("a", 1.0)
    assert 150 < left.seconds(200.0) < 200


def test_a_stage_without_news_does_not_make_it_grow_wildly() -> None:
    left = TimeLeft({"a": 10.0}, workers=1)
    left.reached("a", 0.3)
    before = left.seconds(3.0)
    after = left.seconds(63.0)
    assert before < after <= before + 60


def test_several_workers_wait_for_the_longest_job() -> None:
    left = TimeLeft({"long": 100.0, "b": 10.0, "c": 10.0}, workers=2)
    assert left.seconds(0.0) == pytest.approx(100)
    left.reached("b", 0.8)
    left.reached("b", 0.2)
    assert left.share == pytest.approx(8 / 120)


@pytest.mark.parametrize("seconds", [0.0, 12.0, 95.0, 3599.0, 86_400.0])
def test_words_are_short(seconds: float) -> None:
    assert len(in_words(seconds)) < 16
