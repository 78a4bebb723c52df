"""An answer as OpenTelemetry spans: one for the request, one for each of its phases.

OpenTelemetry, because every collector reads it, MLflow among them (``/v1/traces``), and its interface is there with
MLflow anyway. Where spans go is set as OpenTelemetry has it: a ``TracerProvider`` with an exporter, or
``OTEL_EXPORTER_OTLP_ENDPOINT`` with :func:`otlp` or ``opentelemetry-instrument``. Prompts, answers and rows are never
part of a span. Names of attributes are those of the semantic conventions for generative AI, where there are some.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from serving.error import ServingError

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer, TracerProvider

    from serving.answer import Answer

PHASES = ("queue", "route", "load", "prefill", "decode")
SECOND = 10**9
EXPORTER = "opentelemetry-exporter-otlp-proto-http"
SERVICE = "fairmoe"
Attributes = dict[str, str | int | bool | list[str] | list[float]]


def spans(provider: TracerProvider | None = None) -> Callable[[Answer], None]:
    """What an engine takes as ``on_answer``.

    Parameters
    ----------
    provider : TracerProvider, optional
        Default: the global one.

    Returns
    -------
    callable
        Makes spans of an answer that ends now.
    """
    from opentelemetry import trace

    tracer = trace.get_tracer("fairmoe", tracer_provider=provider)

    def tell(answer: Answer) -> None:
        _tell(tracer, answer)

    return tell


@contextmanager
def otlp() -> Iterator[Callable[[Answer], None]]:
    """What an engine takes as ``on_answer``: spans to a collector that speaks OTLP over HTTP.

    OpenTelemetry's own variables say where it is and what it wants (``OTEL_EXPORTER_OTLP_ENDPOINT``, by default
    http://localhost:4318; ``OTEL_EXPORTER_OTLP_HEADERS``; ``OTEL_SERVICE_NAME``). Close the engine first: what waits
    is sent at the end.

    Raises
    ------
    ServingError
        ``bad-request``: the exporter is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise ServingError(
            "bad-request",
            f"Telemetry by OTLP needs {EXPORTER}: install the dependency group 'telemetry', pip install --group "
            "telemetry -c constraints.txt, run where pyproject.toml lies.",
        ) from error
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME") or SERVICE
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield spans(provider)
    finally:
        provider.shutdown()


def _tell(tracer: Tracer, answer: Answer) -> None:
    from opentelemetry import trace

    (name, start, end), *phases = times(answer, time.time_ns())
    whole = tracer.start_span(name, start_time=start, attributes=attributes(answer))
    within = trace.set_span_in_context(whole)
    for phase, begun, done in phases:
        tracer.start_span(phase, context=within, start_time=begun).end(done)
    whole.end(end)


def times(answer: Answer, end: int) -> list[tuple[str, int, int]]:
    """Names, beginnings and ends [ns] of an answer's spans: of the whole, which ends at ``end``, and of its phases."""
    at = start = end - round(answer.latency["total"] * SECOND)
    found = [("fairmoe.infer", start, end)]
    for phase in PHASES:
        done = min(at + round(answer.latency.get(phase, 0.0) * SECOND), end)
        found.append((f"fairmoe.{phase}", at, done))
        at = done
    return found


def attributes(answer: Answer) -> Attributes:
    """What spans tell of an answer: no prompt, no text, no row."""
    found: Attributes = {
        "fairmoe.request": answer.id,
        "fairmoe.experts": [name for name, _ in answer.experts],
        "fairmoe.weights": [weight for _, weight in answer.experts],
        "fairmoe.why": answer.why,
        "fairmoe.routed": answer.route is not None,
    }
    if answer.rows is None:
        return found | {
            "gen_ai.operation.name": "text_completion",
            "gen_ai.response.finish_reasons": [answer.finish],
            "gen_ai.usage.input_tokens": answer.usage.prompt_tokens,
            "gen_ai.usage.output_tokens": answer.usage.completion_tokens,
        }
    return found | {"fairmoe.rows": len(answer.rows.decisions), "fairmoe.groups": answer.rows.audit.groups}
