"""Memory of the process itself, and that it stays bounded on made tables, which are never stored."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.streaming.measured import made_table
from benchmarks.streaming.memory import peak_gib

ROOT = Path(__file__).parents[3]


def child(program: str, home: Path) -> str:
    """What a Python program of this project prints, in a process of its own with one thread."""
    place = {**os.environ, "PYTHONPATH": str(ROOT), "FAIRMOE_HOME": str(home), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_memory_is_that_of_the_process_and_not_of_who_started_it(tmp_path: Path) -> None:
    held = np.ones(1 << 27)
    assert peak_gib() > held.nbytes / 2**30 >= 1
    own = float(child("from benchmarks.streaming.memory import peak_gib; print(peak_gib())", tmp_path))
    assert 0 < own < 1


PASSES = """
import torch; torch.set_num_threads(1)
from benchmarks.streaming.memory import peak_gib
from tasks.stored.writing import Storing, store_table
from experts.networks.stored_rows import StoredRows
table = store_table(Storing({card!r}))
stream = StoredRows(table, 1024, 0)
rows = sum(len(stream.next()) for _ in range(len(table.rows_of("train")) // 1024))
counted = sum(len(view.rows) for view in table.blocks("test", 65536))
print(rows, counted, peak_gib())
"""

TREES = """
import torch; torch.set_num_threads(1)
from benchmarks.streaming.memory import peak_gib, trees_gib
from tasks.stored.writing import Storing, store_table
from experts.trees.stored_rows import fit_stored
table = store_table(Storing({card!r}))
before = peak_gib()
fit_stored(table, {{"num_leaves": 15}}, 0, rounds=3)
print(before, peak_gib(), trees_gib(len(table), len(table.card.column)))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "limit"), [(665_800, 1.1)])
def test_memory_of_storing_is_bounded(tmp_path: Path, rows: int, limit: float) -> None:
    """As many rows as acs_income has, 50 columns: encoding and a pass of training in a process of their own.

    In memory the raw table alone takes 0.3 GB as numbers and several times that as words.
    """
    card = made_table(tmp_path, rows, numbers=30, words=20)
    trained, counted, peak = map(float, child(PASSES.format(card=str(card)), tmp_path / "home").split())
    assert trained > rows / 2 - 2048 and counted == pytest.approx(rows / 4, abs=4)
    assert peak < limit, f"{peak:.2f} GiB"


@pytest.mark.slow
def test_memory_of_trees_is_what_is_foretold(tmp_path: Path) -> None:
    """Trees on as many rows as acs_income has: more than the passes that stored the table, less than the estimate."""
    card = made_table(tmp_path, 665_800, numbers=30, words=20)
    before, peak, foretold = map(float, child(TREES.format(card=str(card)), tmp_path / "home").split())
    assert before < peak < foretold, f"{before:.2f}, {peak:.2f}, {foretold:.2f} GiB"
