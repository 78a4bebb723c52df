"""What a server allows: where it listens, who may ask, and how much at once."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from serving.error import ServingError

KEYS_VARIABLE = "FAIRMOE_API_KEYS"
"""Environment variable with API keys, separated by commas."""
SHORTEST_KEY = 16
"""Fewest characters of a key: fewer can be guessed."""
NAME_LENGTH = 12


class ApiKeys:
    """The keys that a server takes; only their sha256 is kept, and all of them are compared in constant time."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        found = list(dict.fromkeys(keys))
        short = [number for number, key in enumerate(found, 1) if len(key) < SHORTEST_KEY]
        if short:
            raise ServingError(
                "bad-request",
                f"API key {short[0]} of {len(found)} has fewer than {SHORTEST_KEY} characters and could be guessed. "
                "Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            )
        self._digests = tuple(_digest(key) for key in found)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def __len__(self) -> int:
        return len(self._digests)

    def __repr__(self) -> str:
        return f"ApiKeys({len(self)} keys)"

    def client(self, key: str) -> str | None:
        """A name for who holds this key, the same whenever they come; None for a key that is none of these."""
        asked, known = _digest(key), False
        for digest in self._digests:
            known |= hmac.compare_digest(asked, digest)
        return f"key-{asked.hex()[:NAME_LENGTH]}" if known else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def read_keys(file: Path | None = None) -> ApiKeys:
    """Keys of a file (one a line; lines with # are comments) and of the variable ``FAIRMOE_API_KEYS``.

    Raises
    ------
    ServingError
        If the file cannot be read, holds no key, or a key is too short. No text shows a key.
    """
    return ApiKeys(_keys(file))


def first_key(file: Path | None = None) -> str | None:
    """The first of them, for a program that takes one; None without any. Errors are those of :func:`read_keys`."""
    return next(iter(_keys(file)), None)


def _keys(file: Path | None) -> list[str]:
    named = [key.strip() for key in os.environ.get(KEYS_VARIABLE, "").split(",") if key.strip()]
    if file is None:
        return named
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise ServingError("bad-request", f"The file of API keys {file} cannot be read: {why}.") from error
    told = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not told:
        raise ServingError("bad-request", f"The file of API keys {file} holds no key; write one on a line.")
    return [*told, *named]


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Limits of a server; sizes in bytes, times in seconds.

    Attributes
    ----------
    host, port
        Where it listens; 127.0.0.1 is this machine alone.
    keys : ApiKeys
        Who may ask; empty: everybody who reaches the port.
    cors : tuple of str
        Origins of web pages that may ask; none by default.
    max_body_bytes, max_prompts, max_choices, max_new_tokens, max_rows
        Largest request: bytes, prompts in one, answers to each, tokens of an answer, rows.
    max_requests : int
        Requests in progress at once, whoever sends them; more are refused with 429.
    body_seconds, request_seconds : float
        How long a request may take to arrive, and to be answered.
    drain_seconds : float
        How long running answers may go on once the server is told to stop.
    manage : bool
        Whether requests may load, unload, pin and weigh experts.
    max_priority : int
        Highest priority that a request may give itself; 0 lets clients step back only.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    keys: ApiKeys = field(default_factory=ApiKeys)
    cors: tuple[str, ...] = ()
    max_body_bytes: int = 4 << 20
    max_prompts: int = 16
    max_choices: int = 8
    max_new_tokens: int = 1024
    max_rows: int = 10_000
    max_requests: int = 256
    body_seconds: float = 20.0
    request_seconds: float = 300.0
    drain_seconds: float = 30.0
    manage: bool = True
    max_priority: int = 0

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def url(self) -> str:
        """Address for people and clients, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"
