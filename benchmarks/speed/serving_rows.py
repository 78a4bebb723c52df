"""``/predict`` of a tabular mixture: rows a second in batches of 100, and the slowest of single rows.

Run with ``python -m benchmarks.speed.serving_rows``; ``--model FOLDER --rows FILE`` takes a saved model of your own.
Without one, a mixture of nine members of three families, five folds each, is made on rows that are drawn. The engine's
whole way is timed: queue, micro-batching, encoding, experts, gate, audit record. CPU seconds of the process, one
thread, so that what else runs on the machine does not count; ``--clients`` requests of one row wait at once where the
micro-batch is compared with one request after another.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.models import load_model
from benchmarks.models.files import read_rows
from benchmarks.speed.timing import interleaved, seconds
from serving.catalogue import Entry
from serving.engine import ExpertEngine
from serving.request import Request

if TYPE_CHECKING:
    import pandas as pd

    from benchmarks.models.saved import SavedModel

BATCH = 100
NAME = "model"


def made(folder: Path) -> tuple[SavedModel, pd.DataFrame]:
    """A mixture of LightGBM, logistic and tree bags on drawn rows, saved and read again."""
    import pandas as pd

    from benchmarks.methods.baselines import load_baseline
    from benchmarks.models import save_model
    from experts.bagging.bag import BaggedExpert
    from gates.static_simplex import StaticSimplexGate
    from moe.mixture import Mixture
    from tasks.load import load_task

    random = np.random.default_rng(0)
    count = 600
    frame = pd.DataFrame({f"n{k}": random.normal(size=count).round(3) for k in range(12)})
    for k in range(12):
        frame[f"c{k}"] = random.choice(["low", "middle", "high", "none"], count)
    frame["sex"] = random.choice(["M", "F"], count)
    frame["y"] = (frame["n0"] + (frame["sex"] == "M") + random.normal(size=count) > 0.5).astype(int)
    frame.to_csv(folder / "rows.csv", index=False)
    (folder / "card.toml").write_text(_card(folder / "rows.csv", frame), encoding="utf-8")
    view = load_task(str(folder / "card.toml")).view()
    import torch

    def member(name: str, seed: int) -> BaggedExpert:
        return BaggedExpert(tuple(load_baseline(name).fit(view, {}, seed + fold) for fold in range(5)))

    members = [member(name, 10 * place) for name in ("lightgbm", "logistic_regression") for place in range(4)]
    expert = Mixture(tuple(members), StaticSimplexGate(torch.full((len(members),), 1 / len(members))))
    save_model(expert, view, folder / NAME, method="mixture", origin={})
    return load_model(folder / NAME), frame


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of a saved model")
    parser.add_argument("--rows", help="file of its rows")
    parser.add_argument("--rounds", type=int, default=200, help="timed requests (default 200)")
    parser.add_argument("--clients", type=int, default=32, help="requests that wait at once (default 32)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if asked.model is None:
            model, rows = made(Path(name))
        else:
            model = load_model(asked.model)
            rows = next(iter(read_rows(asked.rows, model.card, model.encoder)))
        entry = Entry(NAME, "rows", columns=model.columns_needed)
        with ExpertEngine(catalogue=lambda: {NAME: entry}, open_rows=lambda _: model) as engine:
            report(engine, rows, asked.rounds, asked.clients)


def report(engine: ExpertEngine, rows: pd.DataFrame, rounds: int, clients: int) -> None:
    """Time one engine."""
    one, batch = rows.iloc[:1], rows.iloc[:BATCH]

    def ask(frame: pd.DataFrame) -> None:
        engine.infer(rows=frame, experts=[NAME])

    ask(one)
    taken = np.array([seconds(lambda: ask(one)) for _ in range(rounds)]) * 1e3
    print(f"one row        median {np.median(taken):6.1f} ms, p99 {np.quantile(taken, 0.99):6.1f} ms (bound 20)")
    taken = np.array([seconds(lambda: ask(batch)) for _ in range(max(1, rounds // 4))])
    print(f"{BATCH} rows       median {np.median(taken) * 1e3:6.1f} ms, {len(batch) / np.median(taken):,.0f} rows/s "
          "(bound 2,000)")  # fmt: skip

    def together() -> None:
        tickets = [engine.submit(Request(rows=one, experts={NAME: 1.0})) for _ in range(clients)]
        for ticket in tickets:
            ticket.result()

    found = interleaved(together, lambda: [ask(one) for _ in range(clients)], 5)
    print(f"{clients} requests of one row at once: {found.ratio:.1f} times the throughput of one after another")


if __name__ == "__main__":
    main()
