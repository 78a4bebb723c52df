"""What the routes of one server share."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, cast

from fastapi import Request as HttpRequest

from serving.http.guard import CLIENT
from serving.http.metrics import Metrics
from serving.http.settings import ServerSettings

if TYPE_CHECKING:
    from serving.engine import ExpertEngine


@dataclass
class Served:
    """An engine, its limits and its numbers; ``draining`` once the server is told to stop."""

    engine: ExpertEngine
    settings: ServerSettings
    metrics: Metrics
    since: int = field(default_factory=lambda: int(time.time()))
    draining: bool = False

    def plain(self, text: str) -> str:
        """Text for clients: the base by its name, not by where it lies on this machine."""
        return text.replace(self._base, public(self._base)) if self._base else text

    @cached_property
    def _base(self) -> str:
        return next((info.base for info in self.engine.models() if info.kind == "base"), "")

    @property
    def base(self) -> str:
        """Id of the base as clients see it; empty for an engine of rows alone."""
        return public(self._base)


def public(base: str) -> str:
    """Id of a base for clients: of a folder of this machine, its name alone.

    Examples
    --------
    >>> public("/srv/models/small"), public("owner/small")
    ('small', 'owner/small')
    """
    return PurePath(base).name if PurePath(base).is_absolute() else base


def served(request: HttpRequest) -> Served:
    """Of the server that a request came to."""
    return cast(Served, request.app.state.served)


def client(request: HttpRequest) -> str:
    """Who asks: the holder of a key, or an address."""
    return str(request.scope["state"].get(CLIENT, ""))
