"""``/predict`` of a tabular mixture: rows a second in batches of 100, and the slowest of single rows.

Run with ``python -m benchmarks.speed serving_rows``; ``--model FOLDER --rows FILE`` takes a saved model of your own.
Without one, a mixture of eight members of two families, five folds each, is made on rows that are drawn. The engine's
whole way is timed: queue, micro-batching, encoding, experts, gate, audit record. CPU seconds of the process, one
thread, so that what else runs on the machine does not count; ``--clients`` requests of one row wait at once where the
micro-batch is compared with one request after another. ``--http`` also asks ``/predict`` of a server on loopback, over
one connection; seconds of the wall, since server, engine and client take turns, and CPU seconds of all three.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import tempfile
import threading
import time
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
WARM = 5
NAME = "model"
PARAMS: dict[str, dict[str, float]] = {
    "lightgbm": {"learning_rate": 0.1, "num_leaves": 8, "min_data_in_leaf": 10}, "logistic_regression": {"C": 1.0},
}  # fmt: skip


def made(folder: Path) -> tuple[SavedModel, pd.DataFrame]:
    """A mixture of bags of LightGBM and of logistic regressions on drawn rows, saved and read again."""
    import pandas as pd
    import torch

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
    (folder / "card.toml").write_text(card_text(folder / "rows.csv", frame), encoding="utf-8")
    view = load_task(str(folder / "card.toml")).view()

    def member(name: str, seed: int) -> BaggedExpert:
        return BaggedExpert(tuple(load_baseline(name).fit(view, PARAMS[name], seed + fold) for fold in range(5)))

    members = [member(name, 10 * place) for name in PARAMS for place in range(4)]
    expert = Mixture(tuple(members), StaticSimplexGate(torch.full((len(members),), 1 / len(members))))
    save_model(expert, view, folder / NAME, method="mixture", origin={})
    return load_model(folder / NAME), frame


def card_text(path: Path, frame: pd.DataFrame) -> str:
    """The card of the drawn rows."""
    data = path.read_bytes()
    head = [
        'name = "drawn"', 'title = "drawn"', 'description = "drawn."', 'licence = "none"', 'citation = "none"',
        f"rows = {len(frame)}", 'default_sensitive = "sex"', "[text]", 'subject = "the row"', "[label]", 'column = "y"',
        "positive = {equals = [1]}", 'meaning = "one"', 'negative_meaning = "zero"', "[[file]]",
        f'name = "{path.name}"', f'sha256 = "{hashlib.sha256(data).hexdigest()}"', f"bytes = {len(data)}",
        "[[sensitive]]", 'name = "sex"', 'column = "sex"',
        'groups = [{name = "female", equals = ["F"]}, {name = "male", equals = ["M"]}]',
    ]  # fmt: skip
    for name in frame.columns.drop("y"):
        kind = "numeric" if name.startswith("n") else "categorical"
        head += ["[[column]]", f'name = "{name}"', f'kind = "{kind}"', f'text = "{name}"']
    return "\n".join(head) + "\n"


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of a saved model")
    parser.add_argument("--rows", help="file of its rows")
    parser.add_argument("--rounds", type=int, default=200, help="timed requests (default 200)")
    parser.add_argument("--clients", type=int, default=32, help="requests that wait at once (default 32)")
    parser.add_argument("--http", action="store_true", help="also over HTTP")
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
            if asked.http:
                report_http(engine, rows, asked.rounds)


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

    def one_after_another() -> None:
        for _ in range(clients):
            ask(one)

    found = interleaved(together, one_after_another, 5)
    print(f"{clients} requests of one row at once: {found.ratio:.1f} times the throughput of one after another")


def report_http(engine: ExpertEngine, rows: pd.DataFrame, rounds: int) -> None:
    """Time ``/predict``: rows as JSON in, probabilities, decisions and the audit record out."""
    from serving.http.app import create_app
    from serving.http.running import Server, bind
    from serving.http.settings import ServerSettings

    settings = ServerSettings(port=0)
    with bind(settings) as bound:
        server = Server(create_app(engine, settings), settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            for count, times in ((1, rounds), (BATCH, max(1, rounds // 4))):
                wall, cpu = _asked(bound.getsockname()[1], rows.iloc[:count], times)
                print(
                    f"HTTP, {count:>3} rows  median {np.median(wall) * 1e3:6.1f} ms, p99 "
                    f"{np.quantile(wall, 0.99) * 1e3:6.1f} ms, {count / np.median(wall):,.0f} rows/s; of CPU "
                    f"median {np.median(cpu) * 1e3:6.1f} ms, p99 {np.quantile(cpu, 0.99) * 1e3:6.1f} ms, "
                    f"{count / np.median(cpu):,.0f} rows/s"
                )
        finally:
            server.should_exit = True
            thread.join()


def _asked(port: int, rows: pd.DataFrame, times: int) -> tuple[list[float], list[float]]:
    """Seconds of the wall and of CPU of requests one after the other, the first ones left out."""
    body = json.dumps({"model": NAME, "rows": json.loads(rows.to_json(orient="records"))})
    connection, wall, cpu = http.client.HTTPConnection("127.0.0.1", port), [], []
    for _ in range(times + WARM):
        begun, used = time.perf_counter(), time.process_time()
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        told = response.read()
        wall.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - used)
        assert response.status == 200, told
    connection.close()
    return wall[WARM:], cpu[WARM:]


if __name__ == "__main__":
    main()
