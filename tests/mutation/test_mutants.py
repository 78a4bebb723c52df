"""The mutants of a small file, and that a test which looks kills them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foundation.discovery import ROOT
from tests.mutation.mutants import mutants
from tests.mutation.swap import functions_of, swap

SOURCE = '''"""A file."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    LIMIT = 3


def clip(value: "tuple[int, 1]", low: float = 0.5) -> float:
    """Not 1."""
    if value < low:
        raise ValueError(f"{value} is below {low + 1}")
    return min(value, 2) if not value is None and value else -low
'''


def test_every_kind_of_change_is_made_and_nothing_else_is_touched() -> None:
    found = [mutant.name for mutant in mutants(SOURCE, "file.py")]
    assert found == [
        "module: value: 'tuple[int, 1]', low: float=0.5 → value: 'tuple[int, 1]', low: float=1.5",
        "clip: if value < low: raise ValueError(f'{value} is below {low + 1}') → "
        "if False: raise ValueError(f'{value} is below {low + 1}')",
        "clip: value < low → value <= low",
        "clip: value < low → value >= low",
        "clip: return min(value, 2) if not value is None and value else -low → return None",
        "clip: not value is None and value → not value is None or value",
        "clip: -low → +low",
        "clip: not value is None → not not value is None",
        "clip: min(value, 2) → max(value, 2)",
        "clip: min(value, 2) → min(value, 3)",
        "clip: value is None → value is not None",
    ]


def test_a_swap_changes_functions_that_others_already_hold() -> None:
    names: dict[str, object] = {}
    original = compile(SOURCE, "file.py", "exec")
    exec(original, names)
    held = names["clip"]
    assert callable(held) and held(5) == 2
    changed = next(
        mutant for mutant in mutants(SOURCE, "file.py") if mutant.name == "clip: min(value, 2) → max(value, 2)"
    )
    assert swap(original, changed.code, functions_of("file.py")) == 1
    assert held(5) == 5


@pytest.mark.slow
def test_mutants_are_killed_by_tests_that_look(tmp_path: Path) -> None:
    (tmp_path / "clips.py").write_text(SOURCE.replace("not value is None and value", "value"), encoding="utf-8")
    test = tmp_path / "test_clips.py"
    test.write_text("from clips import clip\n\n\ndef test_it():\n    assert clip(5) == 2\n", encoding="utf-8")
    found = subprocess.run(
        [sys.executable, "-m", "tests.mutation", "clips.py", "--tests", "test_clips.py"], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    survived = [
        line.split(" ", 1)[1].split(": ", 1)[1] for line in found.stdout.splitlines() if line.endswith("[survived]")
    ]
    assert survived == [
        "value: 'tuple[int, 1]', low: float=0.5 → value: 'tuple[int, 1]', low: float=1.5  [survived]",
        "if value < low: raise ValueError(f'{value} is below {low + 1}') → "
        "if False: raise ValueError(f'{value} is below {low + 1}')  [survived]",
        "value < low → value <= low  [survived]",
        "-low → +low  [survived]",
    ]
    assert found.stdout.splitlines()[-1].split()[:3] == ["all", "9", "5"]
