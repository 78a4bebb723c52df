"""A real engine on a tiny base with three adapters and a row expert, behind a real server on loopback."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from llm_experts.adapters.store import save_adapter
from llm_experts.bases.base import Base
from llm_experts.runtime.resident import ResidentBase
from serving.catalogue import Entry
from serving.engine import EngineSettings, ExpertEngine
from serving.error import ServingError
from serving.http.app import create_app
from serving.http.running import Server, bind
from serving.http.settings import ServerSettings
from serving.router import Router
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.expert_fixtures import make_adapter

ADAPTERS = ("law", "med", "art")
KINDS = ("lora", "svf", "dora")
KEY = "a-key-of-these-tests"


@cache
def tiny_base() -> Base:
    return make_tiny_base(layers=2, hidden=32)


@dataclass
class Line:
    """A row expert whose probability is the logistic of x."""

    decides_in_batches: bool = False
    columns_needed: tuple[str, ...] = ("x",)
    group_columns: tuple[str, ...] = ("sex",)
    needs_group: bool = False
    facts: Mapping[str, Any] = field(default_factory=lambda: {"task": "toy", "method": "line"})

    def predict_proba(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        try:
            x = frame["x"].to_numpy(np.float64)
        except (KeyError, TypeError, ValueError, OverflowError):
            raise ValueError("Column x has to be there and hold numbers.") from None
        if np.isnan(x).any():
            raise ValueError(f"Row {int(np.isnan(x).argmax()) + 1} has no x.")
        positive = 1 / (1 + np.exp(-x))
        return np.column_stack((1 - positive, positive))

    def predict(self, frame: pd.DataFrame) -> npt.NDArray[np.int64]:
        return (self.predict_proba(frame)[:, 1] > 0.5).astype(np.int64)


class Shelf:
    """A catalogue that experts can be taken from and put back."""

    def __init__(self, folder: Path) -> None:
        base = tiny_base()
        self.entries = {"line": Entry("line", "rows", "A line.", "1.0.0", content="c", columns=("x",))}
        for seed, (name, kind) in enumerate(zip(ADAPTERS, KINDS, strict=True)):
            adapter = make_adapter(kind, seed=seed, start=0, base=base, size=0.3)
            save_adapter(folder / name, base, adapter.config, adapter.state)
            self.entries[name] = Entry(
                name, "adapter", f"Knows {name}.", "1.0.0", content=name, source=folder / name, base=base.hash
            )

    def __call__(self) -> Mapping[str, Entry]:
        return dict(self.entries)


def make_engine(
    folder: Path, *, slots: int = 3, router: Router | None = None, **settings: Any
) -> tuple[ExpertEngine, Shelf]:
    """An engine; where the router of ``auto`` is absent, the base answers."""
    shelf = Shelf(folder)
    resident = ResidentBase(tiny_base(), slots=slots, rank=32)
    bounds = EngineSettings(**settings)
    return ExpertEngine(resident, catalogue=shelf, open_rows=_open, router=router, settings=bounds), shelf


def _open(name: str) -> Line:
    if name != "line":
        raise ServingError("unknown-expert", name)
    return Line()


@dataclass
class Running:
    """A server that runs."""

    settings: ServerSettings
    server: Server

    @property
    def port(self) -> int:
        return self.settings.port

    @property
    def url(self) -> str:
        return f"{self.settings.url}/v1"

    def ask(
        self, method: str, path: str, body: bytes | str | dict[str, Any] | None = None, **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, JSON (or text) and headers of one plain request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = json.dumps(body) if isinstance(body, dict) else body
        given = {"Content-Type": "application/json", **{name.replace("_", "-"): each for name, each in headers.items()}}
        connection.request(method, path, sent, given)
        response = connection.getresponse()
        read, told = response.read(), {name.lower(): value for name, value in response.getheaders()}
        connection.close()
        return response.status, json.loads(read) if "json" in told.get("content-type", "") else read.decode(), told


@contextmanager
def running(engine: ExpertEngine, settings: ServerSettings | None = None) -> Iterator[Running]:
    """A server of an engine on a free port of loopback, in a thread; it is drained at the end."""
    wanted = replace(settings or ServerSettings(), port=0)
    bound = bind(wanted)
    known = replace(wanted, port=bound.getsockname()[1])
    server = Server(create_app(engine, known), known)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.01)
        yield Running(known, server)
    finally:
        server.should_exit = True
        thread.join(30)
        bound.close()
        assert not thread.is_alive()
