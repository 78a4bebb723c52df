"""2,000 requests of all kinds at once: each is answered rightly or refused with a reason, and nothing stays behind."""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llm_experts.runtime.sampling import Sampling
from serving.engine import ExpertEngine
from serving.http.settings import ApiKeys, ServerSettings
from serving.naming import experts_of
from tests.serving.http.serving_fixtures import ADAPTERS, KEY, Running, Shelf, make_engine, running

REQUESTS, AT_ONCE, WARM = 2_000, 32, 500
MODELS = ("base", "auto", "law", "med", "art", "law=0.5,med=0.5", "law=0.3,med=0.3,art=0.4")
PROMPTS = ("The applicant", "Question: Is", "The savings are", "Answer: yes or", "more than 50,000 dollars", "Options")
TOKENS = 6
CLEAR = 1e-3
"""Least distance of the two likeliest tokens, in nats: what is nearer may turn with the batch that a row is in."""
GROWTH = 150 * 2**20
"""Bytes that the process may grow by from request 500 to the last: client threads, sockets and caches included."""
REFUSED = {404, 410, 429, 503}
"""What any request about an expert may hear while experts come and go and the queue is full."""
Client = Callable[[Running, random.Random], str]


def body(model: str, prompt: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "prompt": prompt, "max_tokens": TOKENS, "temperature": 0, **fields}


def alone(engine: ExpertEngine) -> dict[tuple[str, str], str]:
    """What each model says to each prompt with nobody else there; near ties are left out."""
    found = {}
    for model in MODELS:
        for prompt in PROMPTS:
            answer = engine.infer(
                prompt, experts=experts_of(model, None, ""), sampling=Sampling(max_new_tokens=TOKENS, logprobs=2)
            )
            if all(one.top[0][2] - one.top[1][2] > CLEAR for one in answer.logprobs):
                found[model, prompt] = answer.text or ""
    return found


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Clients:
    """Clients of all kinds; each says what it got, and fails if that is neither right nor a reason."""

    def __init__(self, expected: dict[tuple[str, str], str]) -> None:
        self.expected = expected
        self.kinds: list[tuple[int, Client]] = [
            (30, self.complete), (18, self.stream), (15, self.rows), (8, self.leave_a_stream), (5, self.leave_at_once),
            (5, self.bad_json), (3, self.huge), (2, self.huge_in_parts), (4, self.slow), (3, self.strangers),
            (3, self.too_long), (2, self.look), (2, self.batch),
        ]  # fmt: skip

    def any(self, chance: random.Random) -> Client:
        return chance.choices([kind for _, kind in self.kinds], [weight for weight, _ in self.kinds])[0]

    def _pick(self, chance: random.Random) -> tuple[str, str]:
        return chance.choice(sorted(self.expected))

    def ask(self, server: Running, path: str, sent: Any, method: str = "POST") -> tuple[int, Any]:
        status, told, headers = server.ask(method, path, sent, Authorization=f"Bearer {KEY}")
        if status != 200:
            assert told["error"]["message"]
            assert told["error"]["code"]
            assert (status == 429) == ("retry-after" in headers) or status == 503
        return status, told

    def complete(self, server: Running, chance: random.Random) -> str:
        model, prompt = self._pick(chance)
        status, told = self.ask(server, "/v1/completions", body(model, prompt))
        if status != 200:
            assert status in REFUSED, told
            return f"complete {status}"
        assert told["choices"][0]["text"] == self.expected[model, prompt], (model, prompt)
        return "complete 200"

    def batch(self, server: Running, chance: random.Random) -> str:
        model, prompt = self._pick(chance)
        prompts = [prompt for one, prompt in sorted(self.expected) if one == model][:4]
        status, told = self.ask(server, "/v1/completions", body(model, prompt) | {"prompt": prompts})
        if status != 200:
            assert status in REFUSED, told
            return f"batch {status}"
        assert [each["text"] for each in told["choices"]] == [self.expected[model, one] for one in prompts]
        return "batch 200"

    def stream(self, server: Running, chance: random.Random) -> str:
        model, prompt = self._pick(chance)
        status, told = self.ask(server, "/v1/completions", body(model, prompt, stream=True))
        if status != 200:
            assert status in REFUSED, told
            return f"stream {status}"
        events = [line.removeprefix("data: ") for line in told.split("\n\n") if line]
        if events[-1] != "[DONE]":
            assert json.loads(events[-1])["error"]["code"] in ("expert_gone", "rate_limit_exceeded")
            return "stream ended"
        text = "".join(json.loads(event)["choices"][0]["text"] for event in events[:-1])
        assert text == self.expected[model, prompt], (model, prompt)
        return "stream 200"

    def rows(self, server: Running, chance: random.Random) -> str:
        values = [chance.choice([-2, -0.5, 0.5, 2]) for _ in range(chance.randint(1, 50))]
        status, told = self.ask(server, "/predict", {"model": "line", "columns": {"x": values}})
        if status != 200:
            assert status in REFUSED, told
            return f"rows {status}"
        assert told["decisions"] == [int(value > 0) for value in values]
        assert told["audit"]["rows"] == len(told["audit"]["row_hashes"]) == len(values)
        return "rows 200"

    def _open(self, server: Running, path: str, length: int | str) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        size = "Transfer-Encoding: chunked" if length == "chunked" else f"Content-Length: {length}"
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\n{size}\r\n\r\n".encode()
        )
        return connection

    def leave_a_stream(self, server: Running, chance: random.Random) -> str:
        sent = json.dumps(body(*self._pick(chance), stream=True) | {"max_tokens": 60}).encode()
        with self._open(server, "/v1/completions", len(sent)) as connection:
            connection.sendall(sent)
            connection.recv(chance.randint(1, 400))
        return "left a stream"

    def leave_at_once(self, server: Running, chance: random.Random) -> str:
        sent = json.dumps(body(*self._pick(chance)) | {"max_tokens": 60}).encode()
        with self._open(server, "/v1/completions", len(sent)) as connection:
            connection.sendall(sent[: chance.randint(0, len(sent))])
        return "left at once"

    def bad_json(self, server: Running, chance: random.Random) -> str:
        whole = json.dumps(body(*self._pick(chance)))
        status, told = self.ask(server, "/v1/completions", whole[: chance.randint(0, len(whole) - 1)])
        assert status in (400, 429), told
        return f"bad JSON {status}"

    def huge(self, server: Running, chance: random.Random) -> str:
        status, told = self.ask(server, "/v1/completions", body("base", "x" * chance.randint(200_001, 400_000)))
        assert status in (413, 429), told
        return f"huge {status}"

    def huge_in_parts(self, server: Running, chance: random.Random) -> str:
        with self._open(server, "/predict", "chunked") as connection:
            for _ in range(4):
                connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            said = connection.recv(65536)
        assert said.split(b"\r\n")[0].split()[1] in (b"413", b"429"), said
        return "huge in parts"

    def slow(self, server: Running, chance: random.Random) -> str:
        model, prompt = self._pick(chance)
        sent = json.dumps(body(model, prompt)).encode()
        with self._open(server, "/v1/completions", len(sent)) as connection:
            for part in (sent[:7], sent[7:30], sent[30:]):
                time.sleep(0.03)
                connection.sendall(part)
            said = b""
            while part := connection.recv(64):
                said += part
        status = int(said.split()[1])
        told = json.loads(said.split(b"\r\n\r\n", 1)[1])
        assert status in {200, *REFUSED}
        assert status != 200 or told["choices"][0]["text"] == self.expected[model, prompt]
        return f"slow {status}"

    def strangers(self, server: Running, chance: random.Random) -> str:
        sent = body(*self._pick(chance))
        wanted = chance.choice([401, 404, 405, "unknown"])
        if wanted == 401:
            status = server.ask("POST", "/v1/completions", sent, Authorization="Bearer wrong")[0]
        elif wanted == "unknown":
            status, wanted = self.ask(server, "/v1/completions", sent | {"model": "law=1,nobody=1"})[0], 404
        else:
            path = "/v1/embeddings" if wanted == 404 else "/v1/completions"
            status = self.ask(server, path, None, "GET")[0]
        assert status in (wanted, 429)
        return f"stranger {status}"

    def too_long(self, server: Running, chance: random.Random) -> str:
        status, told = self.ask(server, "/v1/completions", body("base", "The applicant " * 500))
        assert status in (400, 429)
        assert status == 429 or told["error"]["code"] == "context_length_exceeded"
        return f"too long {status}"

    def look(self, server: Running, chance: random.Random) -> str:
        path = chance.choice(["/v1/models", "/metrics", "/healthz", "/readyz", "/experts"])
        status = self.ask(server, path, None, "GET")[0]
        assert status in (200, 429)
        return f"look {status}"


def disturb(server: Running, shelf: Shelf, stop: threading.Event) -> None:
    """Experts are unloaded, loaded and uninstalled while they answer."""
    chance = random.Random(1)
    while not stop.wait(0.05):
        name = chance.choice(ADAPTERS)
        what = chance.choice(["unload", "load", "uninstall"])
        if what == "uninstall":
            kept = shelf.entries.pop("art", None)
            stop.wait(0.1)
            if kept is not None:
                shelf.entries["art"] = kept
        else:
            status = server.ask("POST", f"/experts/{name}/{what}", Authorization=f"Bearer {KEY}")[0]
            assert status in (200, 409, 410, 429)


@pytest.mark.slow
def test_two_thousand_requests_of_all_kinds(tmp_path: Path) -> None:
    engine, shelf = make_engine(tmp_path, slots=3, max_rows=16, max_waiting=24, max_tokens=200)
    settings = ServerSettings(keys=ApiKeys([KEY]), max_body_bytes=200_000, max_requests=64, body_seconds=5)
    told: Counter[str] = Counter()
    sizes: list[int] = []
    stop = threading.Event()
    with engine:
        clients = Clients(alone(engine))
        assert len(clients.expected) >= 20
        with running(engine, settings) as server, ThreadPoolExecutor(AT_ONCE + 1) as pool:
            disturbing = pool.submit(disturb, server, shelf, stop)

            def one(number: int) -> str:
                chance = random.Random(number)
                got = clients.any(chance)(server, chance)
                if number == WARM:
                    sizes.append(memory())
                return got

            try:
                for got in pool.map(one, range(REQUESTS)):
                    told[got] += 1
            finally:
                stop.set()
            disturbing.result()
            sizes.append(memory())
            nothing_runs(engine)
            for (model, prompt), text in clients.expected.items():
                status, found = clients.ask(server, "/v1/completions", body(model, prompt))
                assert status == 200, found
                assert found["choices"][0]["text"] == text
            for name in ADAPTERS:
                assert clients.ask(server, f"/experts/{name}/unload", None)[0] == 200
    print(dict(sorted(told.items())), f"{(sizes[1] - sizes[0]) / 2**20:.0f} MB more since request {WARM}")
    assert sum(told.values()) == REQUESTS
    assert told["complete 200"] > 200
    assert told["stream 200"] > 100
    assert told["rows 200"] > 100
    assert sizes[1] - sizes[0] < GROWTH


def nothing_runs(engine: ExpertEngine) -> None:
    """What clients left is over soon."""
    for _ in range(2000):
        stats = engine.stats()
        if stats.waiting == stats.running == 0:
            return
        time.sleep(0.005)
    raise AssertionError(f"{stats.running} requests still run, {stats.waiting} wait")
