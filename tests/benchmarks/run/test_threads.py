"""How many threads a process uses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.run.threads import NAMES

ROOT = Path(__file__).parents[3]
COUNT = """
from benchmarks.run.threads import limit_threads

limit_threads()
import torch

print(torch.get_num_threads())
"""


@pytest.mark.parametrize(
    ("said", "threads"), [({}, 1), ({"OMP_NUM_THREADS": "2"}, 2), ({"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "1"}, 1)]
)
def test_one_thread_unless_the_user_says_more(said: dict[str, str], threads: int) -> None:
    rest = {name: value for name, value in os.environ.items() if name not in NAMES}
    found = subprocess.run(
        [sys.executable, "-c", COUNT],
        env={**rest, "PYTHONPATH": str(ROOT), **said},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == [str(threads)]
