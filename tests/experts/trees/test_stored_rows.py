"""Trees from files: byte for byte those of the same rows in memory, bins included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.streaming.measured import made_table
from experts.trees import stored_rows
from experts.trees.fitting import fit_plain
from experts.trees.stored_rows import TrainingRows, fit_stored
from tasks.load import load_task
from tasks.stored.table import StoredTable
from tasks.stored.writing import Storing, store_table

SETTINGS = {"learning_rate": 0.1, "num_leaves": 15, "min_data_in_leaf": 40, "feature_fraction": 0.7}


@pytest.fixture(name="stored", scope="module")
def _stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[StoredTable, str]:
    """Four thousand training rows; a sample of all validation rows."""
    folder = tmp_path_factory.mktemp("stored")
    card = made_table(folder, 8000, chunk=1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAIRMOE_HOME", str(folder / "home"))
        return store_table(Storing(str(card))), str(card)


@pytest.mark.parametrize(
    "further",
    [
        {},
        {"bin_construct_sample_cnt": 500},  # bins are made from a part of the rows: from the same ones
        {"max_bin": 15},
        {"min_data_in_leaf": 1900},  # whole features are left out for it
    ],
)
def test_they_are_the_trees_of_memory(
    stored: tuple[StoredTable, str], further: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_rows.TrainingRows, "batch_size", 700)
    monkeypatch.setattr(stored_rows, "BLOCK_ROWS", 300)
    table, card = stored
    settings = {**SETTINGS, **further}
    whole = fit_stored(table, settings, seed=3)
    assert whole.booster.model_to_string() == fit_plain(load_task(card).view(), settings, 3).booster.model_to_string()
    assert whole.booster.num_trees() > 5
    other = fit_stored(table, settings, seed=4)
    assert other.booster.model_to_string() != whole.booster.model_to_string()


def test_rows_are_read_as_lightgbm_asks(stored: tuple[StoredTable, str]) -> None:
    """One row in double precision, several in single, told how far it is."""
    table, card = stored
    told: list[tuple[int, int]] = []
    rows = TrainingRows(table, lambda _, done, total: told.append((done, total)))
    task = load_task(card)
    train = task.features[task.split.train].numpy()
    assert len(rows) == len(train) == 4000
    assert rows[17].dtype == np.float64 and rows[17].tolist() == train[17].tolist()
    assert np.array_equal(rows[3990:4096], train[3990:])
    assert np.array_equal(rows[[5, 3]], train[[5, 3]])
    assert told[-1] == (4000, 4000)


def test_many_features_are_binned_from_fewer_rows(
    stored: tuple[StoredTable, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample that bins are made from is bounded in values, not in rows."""
    table, _ = stored
    monkeypatch.setattr(stored_rows, "SAMPLED_ROWS", 1000)
    monkeypatch.setattr(stored_rows, "SAMPLED_VALUES", 600 * len(table.encoder.feature_names))
    few = fit_stored(table, SETTINGS, seed=3, rounds=3).booster.params
    assert few["bin_construct_sample_cnt"] == 600


def test_the_view_that_trees_are_tuned_on(stored: tuple[StoredTable, str]) -> None:
    """Few training rows, stratified; all rows of the validation sample; no test rows."""
    table, card = stored
    task, few, whole = load_task(card), table.tuning_view(400), table.tuning_view(10**6)
    assert [len(getattr(few.split, part)) for part in ("train", "validation", "test")] == [
        400,
        len(task.split.validation),
        0,
    ]
    assert set(few.rows[few.split.train].tolist()) < set(task.split.train.tolist())
    assert torch.equal(few.labels, task.labels[few.rows]) and torch.equal(few.features, task.features[few.rows])
    share = float(task.labels[task.split.train].float().mean())
    assert float(few.labels[few.split.train].float().mean()) == pytest.approx(share, abs=0.01)
    assert torch.equal(whole.rows[whole.split.train], task.split.train)
    assert torch.equal(whole.rows[whole.split.validation], task.split.validation)
