"""What operators watch, in Prometheus' form: requests, latency by phase, tokens, rows, the queue, errors by reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import Message, Scope, Send

if TYPE_CHECKING:
    from serving.answer import Answer
    from serving.engine import EngineStats

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
OTHER = "other"
"""Label of paths that are no route: what clients make up must not become a label."""
LEFT = 499
"""Status of a request whose client left before there was one."""


FAILED = 500


class Metrics:
    """The numbers of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        made = {"registry": self.registry, "namespace": "fairmoe"}
        self._requests = Counter("requests", "Requests by route and status.", ("route", "status"), **made)  # type: ignore[arg-type]
        self._seconds = Histogram(
            "request_seconds",
            "From the first byte to the last, by route.",
            ("route",),
            buckets=SECONDS,
            **made,  # type: ignore[arg-type]
        )
        self._phases = Histogram(
            "phase_seconds",
            "What the engine took, by phase.",
            ("phase",),
            buckets=SECONDS,
            **made,  # type: ignore[arg-type]
        )
        self._errors = Counter("errors", "Requests that were refused or given up, by reason.", ("reason",), **made)  # type: ignore[arg-type]
        self._tokens = Counter("tokens", "Tokens of prompts and of answers.", ("kind",), **made)  # type: ignore[arg-type]
        self._rows = Counter("rows", "Rows predicted.", **made)  # type: ignore[arg-type]
        self._running = Gauge("requests_in_progress", "Requests in progress.", **made)  # type: ignore[arg-type]
        self._gauges = {
            name: Gauge(f"engine_{name}", words, **made)  # type: ignore[arg-type]
            for name, words in (
                ("waiting", "Requests in the queue."),
                ("running", "Requests that the engine works on."),
                ("loaded", "Experts in memory."),
                ("cache_bytes", "Bytes of the prefix cache."),
                ("telemetry_lost", "Answers that telemetry lost."),
            )
        }

    @contextmanager
    def request(self, scope: Scope) -> Iterator[Callable[[Send], Send]]:
        """Count one request; gives what watches its ``send``."""
        status, begun = LEFT, time.perf_counter()

        def watched(send: Send) -> Send:
            async def counted(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            return counted

        self._running.inc()
        try:
            yield watched
        except Exception:
            status = FAILED if status == LEFT else status
            raise
        finally:
            self._running.dec()
            route = getattr(scope.get("route"), "path", OTHER)
            self._requests.labels(route, str(status)).inc()
            self._seconds.labels(route).observe(time.perf_counter() - begun)

    def error(self, reason: str) -> None:
        """Count a refusal."""
        self._errors.labels(reason).inc()

    def answer(self, answer: Answer) -> None:
        """Count an answer of the engine: its phases, tokens and rows."""
        self._observe(answer.latency)
        self._tokens.labels("prompt").inc(answer.usage.prompt_tokens)
        self._tokens.labels("completion").inc(answer.usage.completion_tokens)
        if answer.rows is not None:
            self._rows.inc(len(answer.rows.decisions))

    def _observe(self, latency: Mapping[str, float]) -> None:
        for phase, seconds in latency.items():
            self._phases.labels(phase).observe(seconds)

    def text(self, stats: EngineStats) -> bytes:
        """All numbers, in Prometheus' text format."""
        now = {"loaded": len(stats.loaded)}
        for name, gauge in self._gauges.items():
            gauge.set(now[name] if name in now else getattr(stats, name))
        return generate_latest(self.registry)
