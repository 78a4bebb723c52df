"""A local server that speaks OpenAI's protocol with its faults: what it says next is a script of the test."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Step = Callable[["Handler", dict[str, Any]], None]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_POST(self) -> None:
        """Answer with the next step of the script, with an answer where there is none left."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers["Authorization"], body))
        step = self.server.script.pop(0) if self.server.script else self.server.usual
        step(self, body)

    def send(self, status: int, data: Any, **headers: str) -> None:
        """Send JSON, or bytes as they are."""
        raw = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(raw)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """The server: what it was asked, what it says next, what it says otherwise."""

    daemon_threads = True

    def __init__(self, usual: Step) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, dict[str, Any]]] = []
        self.script: list[Step] = []
        self.usual = usual

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextmanager
def served(usual: Step) -> Iterator[Server]:
    """A running server."""
    server = Server(usual)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def said(text: str, *, model: str = "", read: int = 100, written: int = 50) -> Step:
    """A whole answer."""

    def step(handler: Handler, body: dict[str, Any]) -> None:
        handler.send(200, completion(text, model or body["model"], read, written))

    return step


def completion(text: str, model: str, read: int, written: int) -> dict[str, Any]:
    """The body of an answer."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "c", "object": "chat.completion", "created": 0, "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written},
    }  # fmt: skip


def refused(status: int, message: str = "no", code: str | None = None, **headers: str) -> Step:
    """An error of the protocol."""
    error = {"error": {"message": message, "type": "error", "param": None, "code": code}}
    return lambda handler, body: handler.send(status, error, **headers)


def cut(handler: Handler, body: dict[str, Any]) -> None:
    """A body that ends before it is whole, and with it the connection."""
    raw = json.dumps(completion("x", body["model"], 1, 1)).encode()
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(raw)))
    handler.end_headers()
    handler.wfile.write(raw[: len(raw) // 2])
    handler.close_connection = True


def slow(seconds: float) -> Step:
    """An answer that comes too late."""

    def step(handler: Handler, body: dict[str, Any]) -> None:
        threading.Event().wait(seconds)
        handler.close_connection = True

    return step
