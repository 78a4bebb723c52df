"""Training on a stored table: every row once per pass, mixed batches, the study as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.streaming.measured import made_table
from experts.networks.network import MLP, Network
from experts.networks.stored_rows import StoredInputs, StoredNetwork, StoredRows
from experts.networks.trainer import Budget, LaneConfig, train_lanes
from experts.saved import ExpertError
from experts.tuning.networks import tune
from metrics.points import point_values
from tasks.load import load_task
from tasks.stored.table import StoredTable
from tasks.stored.writing import Storing, store_table
from tasks.task import TaskView

BUDGET = Budget(steps=120, eval_every=40, warm_up=20, batch_rows=256, rungs=(0.5,), hidden=8)
LANES = [LaneConfig(0.01, 1e-4, {}, seed) for seed in range(4)]


@pytest.fixture(name="table", scope="module")
def _table(tmp_path_factory: pytest.TempPathFactory) -> tuple[StoredTable, str]:
    folder = tmp_path_factory.mktemp("stored")
    card = made_table(folder, 8000, chunk=1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAIRMOE_HOME", str(folder / "home"))
        return store_table(Storing(str(card), validation_rows=600, test_rows=100)), str(card)


def test_a_pass_holds_every_training_row_once(table: tuple[StoredTable, str]) -> None:
    """Sixteen blocks at a time: the first pass of 4,000 rows is the training part, shuffled; batches are mixed."""
    stored, card = table
    task = load_task(card)
    stream = StoredRows(stored, 200, seed=1, buffer_bytes=0, block_rows=100)
    batches = [stream.next() for _ in range(20)]
    rows = torch.cat([batch.rows[:, :-1] for batch in batches])
    train = task.features[task.split.train]
    assert sorted(map(bytes, rows.numpy())) == sorted(map(bytes, train.numpy()))
    assert not torch.equal(rows[:200], train[:200])
    share = float(task.labels[task.split.train].float().mean())
    assert all(abs(float(batch.targets.mean()) - share) < 0.04 for batch in batches)
    labels = {bytes(row): int(y) for row, y in zip(train.numpy(), task.labels[task.split.train], strict=True)}
    assert all(
        labels[bytes(r)] == int(y) for r, y in zip(batches[3].rows[:, :-1].numpy(), batches[3].labels, strict=True)
    )


def test_the_seed_alone_decides_the_order(table: tuple[StoredTable, str]) -> None:
    """Batches that do not divide a buffer go over into the next; another seed gives another order."""
    one, same, other = (StoredRows(table[0], 300, seed=s, buffer_bytes=0, block_rows=64) for s in (1, 1, 2))
    for _ in range(30):
        first = one.next()
        assert torch.equal(first.rows, same.next().rows)
        assert first.rows.shape == (300, len(table[0].encoder.feature_names) + 1)
    assert not torch.equal(one.next().rows, other.next().rows)


def test_lanes_learn_from_files_as_from_memory(table: tuple[StoredTable, str]) -> None:
    """The same budget from files and from memory: AUC on all validation rows within two hundredths."""
    stored, card = table
    task = load_task(card)
    view, rows = task.view(), task.split.validation
    found = []
    both: list[tuple[TaskView, Network]] = [(view, MLP), (stored.sample.view(), StoredNetwork(stored))]
    for own, network in both:
        result = train_lanes(own, "utility", LANES, BUDGET, seed=0, network=network)
        margins = StoredInputs(view, stored).margins(result.parameters, rows)
        found.append(point_values(torch.sigmoid(margins), task.labels[rows], task.groups[rows], 2)["auc@1"])
    assert float((found[0] - found[1]).abs().max()) < 0.02
    assert float(found[1].min()) > 0.7


def test_the_study_tunes_on_files(table: tuple[StoredTable, str], tmp_path: Path) -> None:
    """Halving, checkpoints and the trial store are those of every study; the same command gives the same weights."""
    stored, _ = table
    view = stored.sample.view()
    settings: dict[str, Any] = {"seed": 0, "budget": BUDGET, "trials": 4, "batch": 4, "network": StoredNetwork(stored)}
    one = tune(view, "utility", folder=tmp_path / "a", **settings)
    again = tune(view, "utility", folder=tmp_path / "b", **settings)
    fair = tune(view, "result", folder=tmp_path / "a", utility_floor=one, epsilon=0.02, **settings)
    assert {row["state"] for row in one.trials} == {"COMPLETE", "PRUNED"}
    assert one.expert.parameters.theta.numpy().tobytes() == again.expert.parameters.theta.numpy().tobytes()
    assert fair.expert.role == "result"
    block = stored.view(stored.rows_of("test")[:50])
    assert np.isfinite(one.expert.logits(block, torch.arange(50)).numpy()).all()


def test_weights_of_rows_are_refused(table: tuple[StoredTable, str]) -> None:
    view = table[0].sample.view()
    with pytest.raises(ExpertError, match="cannot be weighted"):
        train_lanes(
            view, "utility", LANES, BUDGET, seed=0, row_weights=torch.ones(4, 0), network=StoredNetwork(table[0])
        )
