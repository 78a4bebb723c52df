"""A server from its port to its last answer: bound, run, drained."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.error import ServingError
from serving.http.settings import ServerSettings

KEEP_ALIVE = 5


def bind(settings: ServerSettings) -> socket.socket:
    """The listening socket, before anything heavy is loaded.

    Raises
    ------
    ServingError
        ``bad-request``: the host is unknown or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[
            0
        ]
        bound = socket.socket(family, kind, protocol)  # asyncio sets TCP_NODELAY only where the protocol is named
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(address)
            bound.listen(2048)
        except OSError:
            bound.close()
            raise
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ServingError(
            "bad-request",
            f"Port {settings.port} of {settings.host} cannot be used ({why}). Another program may listen there, "
            f"perhaps an earlier 'fairmoe serve': end it, or choose another port: --port {settings.port + 1}.",
        ) from error
    return bound


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that waits for the head of a request, but not forever: slow heads would hold connections for nothing."""

    head_seconds = 20.0
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait for the head that begins here, unless a request is being answered."""
        self._wait()
        super().data_received(data)
        if not self._idle:
            self._wait_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more comes."""
        self._wait_no_more()
        super().connection_lost(exc)

    @property
    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        if self._late is None and self._idle:
            self._late = self.loop.call_later(self.head_seconds, self._give_up)

    def _wait_no_more(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._late = None
        if self._idle:
            self.transport.close()


class Server(uvicorn.Server):
    """Uvicorn's server, which says that it is stopping before it waits for the last answers."""

    def __init__(self, app: FastAPI, settings: ServerSettings, *, log_requests: bool = False) -> None:
        self._app = app
        protocol = type("Protocol", (PatientProtocol,), {"head_seconds": settings.body_seconds})
        super().__init__(
            uvicorn.Config(
                app, http=protocol, ws="none", lifespan="on", timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=max(1, round(settings.drain_seconds)), server_header=False,
                access_log=log_requests, log_level="info" if log_requests else "warning", proxy_headers=False,
            )
        )  # fmt: skip

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, let running requests end, close."""
        self._app.state.served.draining = True
        await super().shutdown(sockets)


def run(server: Server, bound: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, then drain; returns when all is done. A second SIGINT does not wait."""
    with _signals_end_quietly():
        server.run(sockets=[bound])


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """Uvicorn raises the signals that ended it again; they have had their effect."""
    handled = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
