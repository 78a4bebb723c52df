"""A discovery that is killed, ended by its budget or asked for otherwise goes on and loses nothing."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.discovering.error import BudgetEndedError
from benchmarks.discovering.run import Discovered, discover
from benchmarks.discovering.state import without_times
from benchmarks.discovering.steps.registry import STEPS
from tests.benchmarks.discovering.tiny import Noting, asked, made, whole

pytestmark = pytest.mark.slow


def test_killed_in_every_step_it_goes_on_with_the_same_bytes(first: Discovered, tmp_path: Path) -> None:
    folder, context = tmp_path / "killed", multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.benchmarks.discovering.tiny"])
    for number, step in enumerate(STEPS[:-1]):
        process = context.Process(target=whole, args=(folder,))
        process.start()
        while process.is_alive() and not (folder / step.name / "inputs.json").exists():
            time.sleep(0.01)
        time.sleep(0.1 * number)  # a different part of every step
        process.kill()
        process.join()
    whole(folder)
    assert made(folder) == made(first.folder)


def test_a_setting_of_the_search_leaves_the_experts_alone(first: Discovered, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(first.folder, folder)
    noted = Noting()
    discover(asked(folder, generations=5), noted)
    assert noted.done == ["5_search", "6_examination", "7_preserve", "8_gates"]


def test_ended_by_its_budget_again_and_again_it_ends_with_the_same_results(first: Discovered, tmp_path: Path) -> None:
    folder, missing, ticks = tmp_path / "budget", [], 4
    for _ in range(100):
        clock = iter([0.0] * ticks + [1e9] * 10_000)
        try:
            discover(replace(asked(folder, minutes=1e6), clock=lambda clock=clock: next(clock)))
        except BudgetEndedError as error:
            missing.append(str(error).partition("missing: ")[2].partition(".")[0])
            begun = bool(missing[-1]) and not any(missing[:-1])  # the machine's rates are known, and asked no more
            ticks = 2 if begun else ticks + 6
            continue
        break
    else:
        pytest.fail("it never came to an end")
    assert missing[0] == "" and len(set(missing)) > 4, missing
    results = {step.name: json.loads((folder / step.name / "result.json").read_text()) for step in STEPS}
    assert without_times(results) == without_times(first.results)
