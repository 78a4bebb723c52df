"""One small task with raw rows of all kinds, and what is saved of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foundation.seeding import numpy_generator
from tasks.load import load_task
from tasks.task import Task
from tests.tasks.toys import own_card, toy_table

ROWS = 300


def rows(count: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """The toy table with labels that follow from it."""
    table = toy_table(count, seed)
    random = numpy_generator(seed, "labels")
    score = (table["sex"] == "M") + (table["hours"] > 500) + (table["job"] == "nurse") - 1.5
    table["y"] = (score + random.normal(0, 0.7, count) > 0).astype(int)
    return table


def load(folder: Path, name: str = "", **options: object) -> tuple[Task, pd.DataFrame]:
    """The task of a card with these rows, and the raw rows as they are read from its file."""
    text = rows().to_csv(index=False)
    own_card(folder, text, rows=ROWS)
    task = load_task(f"{folder / 'card.toml'}{name}", **options)  # type: ignore[arg-type]
    raw = pd.read_csv(folder / "own.csv", keep_default_na=False, na_values=[""])
    return task, raw.iloc[task.rows.numpy()].reset_index(drop=True)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Task, pd.DataFrame]:
    """Task and raw rows; row i of one is row i of the other."""
    return load(tmp_path_factory.mktemp("toy"))


def assert_same(found: np.ndarray, wanted: np.ndarray) -> None:
    """Equal to a millionth."""
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1e-6
