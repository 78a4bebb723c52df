"""What stands before every route: who asks, how much is asked at once, how large and how slow a request may be."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import Any, NamedTuple

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.errors import code_of, error_response
from serving.http.metrics import Metrics
from serving.http.settings import ServerSettings

OPEN = ("/healthz", "/readyz")
"""Paths that need no key: whoever starts servers asks them, and they say nothing about anybody."""
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]*\]|[^:\[\]]*)(:\d{1,5})?")
CLIENT = "client"
"""Where the name of who asks is kept in the state of a request."""
LINGER = 2.0
"""Seconds in which the body of a refused request is read and dropped: who still sends would not hear the reason."""
DROPPED = 16
"""Times the largest body that are read and dropped at most; more is refused at its head."""
GRACE = 5.0
"""Seconds beyond the limit of a request in which the engine's own refusal is waited for."""


class Refusal(NamedTuple):
    """Why a request is answered here, and how."""

    reason: str
    response: JSONResponse
    late: bool = False
    """Whether its body was read, or has been waited for already."""


class Guard:
    """An ASGI application around the real one.

    Refuses: a host that is not this machine's (pages of others can make a browser ask 127.0.0.1 under their own name),
    a wrong key, more requests than may be in progress, a body that is not JSON, too large or too slow in coming.

    Parameters
    ----------
    app : ASGIApp
    settings : ServerSettings
    metrics : Metrics
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._metrics.request(scope) as watched:
            send = watched(send)
            refusal = self._refusal(scope)
            if refusal is not None:
                await self._turn_away(refusal, scope, receive, send)
                return
            self._running += 1
            try:
                await self._answer(scope, receive, send)
            finally:
                self._running -= 1

    async def _turn_away(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        self._metrics.error(refusal.reason)
        if not refusal.late:
            await self._drop(scope, receive)
        await refusal.response(scope, receive, send)

    async def _drop(self, scope: Scope, receive: Receive) -> None:
        """Read the rest of a body that is refused, while it comes at once and is not out of all proportion."""
        left = DROPPED * self._settings.max_body_bytes
        if _length(Headers(scope=scope)) > left:
            return
        with suppress(TimeoutError, ClientDisconnect):
            async with asyncio.timeout(min(LINGER, self._settings.body_seconds)):
                await _read(receive, left, keep=False)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers, path = Headers(scope=scope), scope["path"]
        return (
            self._wrong_host(headers)
            or (None if path in OPEN else self._wrong_key(scope, headers) or self._too_many())
            or self._wrong_body(scope, headers)
        )

    def _wrong_host(self, headers: Headers) -> Refusal | None:
        """On this machine alone and without a key, a browser could be led here by any page: the name tells."""
        if not self._settings.loopback or self._settings.keys:
            return None
        said = HOST.fullmatch(headers.get("host", ""))
        if said and said["name"].lower() in LOCAL_HOSTS:
            return None
        words = (
            "This server has no API key, so it answers as localhost alone; give it a key to be asked by other names."
        )
        return _refused("bad-host", 403, words)

    def _wrong_key(self, scope: Scope, headers: Headers) -> Refusal | None:
        keys = self._settings.keys
        address = scope["client"][0] if scope.get("client") else "unknown"
        if not keys:
            _state(scope)[CLIENT] = address
            return None
        scheme, _, key = headers.get("authorization", "").partition(" ")
        client = keys.client(key.strip()) if scheme.lower() == "bearer" else None
        if client is None:
            said = "Incorrect API key provided." if key else "You didn't provide an API key."
            return _refused("invalid-api-key", 401, f"{said} Send a header 'Authorization: Bearer KEY'.")
        _state(scope)[CLIENT] = client
        return None

    def _too_many(self) -> Refusal | None:
        if self._running < self._settings.max_requests:
            return None
        words = f"{self._running} requests are in progress, as many as this server takes; try again in a second."
        return _refused("overloaded", 429, words, retry_after=1)

    def _wrong_body(self, scope: Scope, headers: Headers) -> Refusal | None:
        if scope["method"] not in ("POST", "PUT", "PATCH"):
            return None
        length = headers.get("content-length", "")
        if _length(headers) > self._settings.max_body_bytes:
            return _too_large(self._settings.max_body_bytes)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and (length not in ("", "0") or "transfer-encoding" in headers):
            return _refused(
                "unsupported-media-type", 415, "Send JSON, with the header 'Content-Type: application/json'."
            )
        return None

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body within its limits, then let the application answer within its own."""
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                body = await _read(receive, self._settings.max_body_bytes)
        except TimeoutError:
            words = f"The request did not arrive within {self._settings.body_seconds:g} s."
            await self._turn_away(_refused("slow-request", 408, words, late=True), scope, receive, send)
            return
        except ClientDisconnect:
            self._metrics.error("cancelled")
            return
        if body is None:
            await self._turn_away(_too_large(self._settings.max_body_bytes), scope, receive, send)
            return
        await self._within_time(scope, _again(body, receive), send)

    async def _within_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A client that reads too slowly, or an engine that says nothing, is cut off."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(self._settings.request_seconds + GRACE):
                await self._app(scope, receive, watched)
        except TimeoutError:
            words = f"There was no answer within {self._settings.request_seconds:g} s."
            if not begun:
                await self._turn_away(_refused("timeout", 504, words, late=True), scope, receive, send)
                return
            self._metrics.error("timeout")  # the response has begun: without its end, its connection is closed


def _length(headers: Headers) -> int:
    """Of the body, as its head says; 0 if it does not."""
    said = headers.get("content-length", "")
    return int(said[:20]) if said.isdigit() else 0


async def _read(receive: Receive, most: int, *, keep: bool = True) -> bytes | None:
    """The whole body, or nothing where it is not kept; None if it is larger than ``most``."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            return None
        if keep:
            parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that hands out a body that was read, then waits for what comes."""
    given = False

    async def first() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return first


def _state(scope: Scope) -> dict[str, Any]:
    found: dict[str, Any] = scope.setdefault("state", {})
    return found


def _too_large(most: int) -> Refusal:
    return _refused("too-large", 413, f"The request is larger than {most:,} bytes, the most that is read here.")


def _refused(reason: str, status: int, words: str, *, retry_after: float | None = None, late: bool = False) -> Refusal:
    """A refusal; its connection is closed, as what remains of the body is not read."""
    response = error_response(words, status=status, code=code_of(reason), retry_after=retry_after)
    response.headers["connection"] = "close"
    return Refusal(reason, response, late)
