"""What the HTTP server adds to a request: the client's time less the engine's, at concurrency 8.

``python -m benchmarks.speed serving_http``: milliseconds (median with its 95 % interval, and the 95th percentile) for
texts on nano, plain and streamed, and for rows; and the CPU time of a request less that of the engine asked without a
server. Clients are a process of their own, as they are in life: within one, their Python would be counted as the
server's. Rows cost the engine next to nothing here, so eight clients keep the server itself busy: what they wait for is
each other, and the CPU time says what one costs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from serving.engine import ExpertEngine

AT_ONCE, REQUESTS, WARM = 8, 300, 40
TOKENS, ROWS, DRAWS = 16, 20, 2_000
CLIENT = """
import http.client, json, sys, threading, time
port, path, count, at_once, body = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
left, lock, found = iter(range(count)), threading.Lock(), []
def told(read):
    if not read.startswith(b"data:"):
        return json.loads(read)
    events = [line[6:] for line in read.split(b"\\n\\n") if line and b"[DONE]" not in line]
    return next(event for event in map(json.loads, reversed(events)) if "fairmoe" in event)
def client():
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while True:
        with lock:
            if next(left, None) is None:
                return
        begun = time.perf_counter()
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        read = response.read()
        took = time.perf_counter() - begun
        assert response.status == 200, read
        found.append((took, told(read)["fairmoe"]["latency"]["total"]))
threads = [threading.Thread(target=client) for _ in range(at_once)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps(found))
"""


def main() -> None:
    """Print what the server adds."""
    import pandas as pd

    from llm_experts.runtime.sampling import Sampling

    text = {"model": "base", "prompt": "The applicant is", "max_tokens": TOKENS, "temperature": 0}
    rows = {f"x{i}": [0.5] * ROWS for i in range(20)}
    with _server() as (engine, port):

        def one_text() -> object:
            return engine.infer("The applicant is", experts=None, sampling=Sampling(max_new_tokens=TOKENS))

        def some_rows() -> object:
            return engine.infer(rows=pd.DataFrame(rows), experts=["line"])

        for name, path, body, alone in (
            (f"{TOKENS} tokens of nano", "/v1/completions", text, one_text),
            (f"{TOKENS} tokens of nano, streamed", "/v1/completions", text | {"stream": True}, one_text),
            (f"{ROWS} rows of 20 columns", "/predict", {"model": "line", "columns": rows}, some_rows),
        ):
            _ask(port, path, body, WARM)
            begun = time.process_time()
            found = _ask(port, path, body, REQUESTS)
            whole = time.process_time() - begun
            _print(name, found, (whole - _alone(alone)) / REQUESTS)


def _alone(ask: Callable[[], object]) -> float:
    """CPU seconds of as many requests to the engine itself, as many at once."""
    begun = time.process_time()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: ask(), range(REQUESTS)))
    return time.process_time() - begun


def _print(name: str, found: npt.NDArray[np.float64], cpu: float) -> None:
    """``found`` [requests, 2]: seconds of the client and of the engine; ``cpu``: seconds that the server adds."""
    added = (found[:, 0] - found[:, 1]) * 1000
    generator = np.random.default_rng(0)
    low, high = np.quantile(np.median(generator.choice(added, (DRAWS, len(added))), 1), (0.025, 0.975))
    print(
        f"{name}, {AT_ONCE} at once: the server adds {np.median(added):.2f} ms [{low:.2f}, {high:.2f}] to "
        f"{np.median(found[:, 1]) * 1000:.1f} ms of the engine (95th percentile {np.quantile(added, 0.95):.1f} ms), "
        f"and {cpu * 1000:.2f} ms of CPU"
    )


def _ask(port: int, path: str, body: dict[str, Any], count: int) -> npt.NDArray[np.float64]:
    words = [sys.executable, "-c", CLIENT, str(port), path, str(count), str(AT_ONCE), json.dumps(body)]
    return np.array(json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout))


class _Line:
    """A row expert that costs next to nothing."""

    columns_needed = tuple(f"x{i}" for i in range(20))
    group_columns: tuple[str, ...] = ()
    needs_group = decides_in_batches = False
    facts: dict[str, Any] = {"task": "none", "method": "line"}  # noqa: RUF012

    def predict_proba(self, frame: Any) -> npt.NDArray[np.float64]:
        positive = 1 / (1 + np.exp(-frame["x0"].to_numpy()))
        return np.column_stack((1 - positive, positive))

    def predict(self, frame: Any) -> npt.NDArray[np.int64]:
        return (self.predict_proba(frame)[:, 1] > 0.5).astype(np.int64)


@contextmanager
def _server() -> Iterator[tuple[ExpertEngine, int]]:
    """An engine of nano and a row expert, and the port of its server."""
    from llm_experts.bases.load import load_base
    from llm_experts.runtime.resident import ResidentBase
    from serving.catalogue import Entry
    from serving.engine import ExpertEngine
    from serving.http.app import create_app
    from serving.http.running import Server, bind
    from serving.http.settings import ServerSettings

    entry = Entry("line", "rows", columns=_Line.columns_needed)
    settings = ServerSettings(port=0)
    resident = ResidentBase(load_base("nano"))
    with bind(settings) as bound, ExpertEngine(
        resident, catalogue=lambda: {"line": entry}, open_rows=lambda _: _Line()
    ) as engine:  # fmt: skip
        settings = replace(settings, port=bound.getsockname()[1])
        server = Server(create_app(engine, settings), settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield engine, settings.port
        finally:
            server.should_exit = True
            thread.join()


if __name__ == "__main__":
    main()
