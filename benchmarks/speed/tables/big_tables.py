"""Big tables: ``python -m benchmarks.speed big_tables [--rows N] [--rounds N]``.

Two measurements, CPU time, one thread. Training: lanes on a stored table beside an ordinary PyTorch module on a
``DataLoader`` over the same rows in memory, sides interleaved; goal: 5 times faster per model and row. Metrics: 50
models, all count metrics with intervals and nulls, AUC, calibration, composites; a chunk of rows is counted as often as
10 million rows need; goal: at most 5 seconds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.speed.timing import interleaved, machine_load, seconds
from benchmarks.streaming.measured import BATCH, HIDDEN, made_table, one_pass
from experts.networks.lanes import SLOPE
from metrics.tallies.scores import tally_scores
from metrics.tallies.tally import Tally
from tasks.stored.table import StoredTable
from tasks.stored.writing import Storing, store_table

MODELS, ROWS, CHUNK = 50, 10_000_000, 100_000
LANES = 16


def metrics_seconds() -> tuple[float, float]:
    """CPU seconds of the pass over 10 million rows of 50 models, and of the scores."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (CHUNK,), generator=generator)
    groups = torch.randint(0, 2, (CHUNK,), generator=generator)
    probability = torch.sigmoid(torch.randn(MODELS, CHUNK, generator=generator) + labels)
    tally = Tally.empty(MODELS, 2)
    tally.add(probability[:, :10], labels[:10], groups[:10])  # compiles
    tally = Tally.empty(MODELS, 2)

    def counted() -> None:
        for _ in range(ROWS // CHUNK):
            tally.add(probability, labels, groups)

    names = [str(model) for model in range(MODELS)]
    return seconds(counted), seconds(lambda: tally_scores(tally, names, ("a", "b"), seed=0))


def loader_epoch(table: StoredTable) -> Callable[[], None]:
    """One model, one pass over the training rows, as most people would write it."""
    rows = table.rows_of("train")
    view = table.view(rows)
    loader = DataLoader(TensorDataset(view.features, table.labels_of(rows).float()), batch_size=BATCH, shuffle=True)
    net = nn.Sequential(
        nn.Linear(view.features.shape[1], HIDDEN), nn.LeakyReLU(SLOPE), nn.Dropout(0.3), nn.Linear(HIDDEN, 1)
    )
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)

    def epoch() -> None:
        for features, labels in loader:
            loss = binary_cross_entropy_with_logits(net(features).squeeze(1), labels)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()

    return epoch


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000, help="rows of the table that is trained on")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    counted, scored = metrics_seconds()
    print(f"metrics of {MODELS} models on {ROWS:,} rows: {counted:.2f} + {scored:.2f} s (goal <= 5 s)")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FAIRMOE_HOME"] = folder
        card = made_table(Path(folder), asked.rows, numbers=30, words=20)
        table = store_table(Storing(str(card), validation_rows=2000))
        timing = interleaved(lambda: one_pass(table, LANES), loader_epoch(table), asked.rounds)
        rows = len(table.rows_of("train"))
        print(
            f"training per model and row: {timing.median_a / LANES / rows * 1e9:.0f} ns in {LANES} lanes from files, "
            f"{timing.median_b / rows * 1e9:.0f} ns by a DataLoader: {timing.ratio * LANES:.1f} x (goal >= 5 x)"
        )
    print(machine_load())


if __name__ == "__main__":
    main()
