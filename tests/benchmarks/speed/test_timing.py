"""The timing helper: order of calls, threads, errors. No test depends on how long anything takes."""

from __future__ import annotations

import subprocess

import pytest
import torch

from benchmarks.speed.timing import fresh, interleaved


def test_sides_alternate_after_one_warm_up_each() -> None:
    calls: list[str] = []
    ratio = interleaved(lambda: calls.append("a"), lambda: calls.append("b"), rounds=2)
    assert calls == ["a", "b"] * 3
    assert ratio.median_a >= 0
    assert ratio.ratio >= 0


def test_one_thread_inside_and_the_old_number_after() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    interleaved(lambda: seen.append(torch.get_num_threads()), lambda: None, rounds=1)
    assert set(seen) == {1}
    assert torch.get_num_threads() == before


def test_no_rounds_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one round"):
        interleaved(lambda: None, lambda: None, rounds=0)


def test_a_fresh_process_sees_what_it_is_given_and_a_failed_one_is_told() -> None:
    code = "import os, sys; sys.exit(os.environ['WORD'] != 'yes')"
    assert fresh(["-c", code], rounds=1, environment={"WORD": "yes"}).wall > 0
    with pytest.raises(subprocess.CalledProcessError):
        fresh(["-c", code], rounds=1, environment={"WORD": "no"})
