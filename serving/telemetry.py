"""An answer as OpenTelemetry spans: one for the request, one for each of its phases.

OpenTelemetry, because every collector reads it, MLflow among them (``/v1/traces``), and its interface is there with
MLflow anyway. Where spans go is set as OpenTelemetry has it: a ``TracerProvider`` with an exporter, or
``OTEL_EXPORTER_OTLP_ENDPOINT`` with ``opentelemetry-instrument``. Prompts, answers and rows are never part of a span.
Names of attributes are those of the semantic conventions for generative AI, where there are some.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer, TracerProvider

    from serving.answer import Answer

PHASES = ("queue", "route", "load", "prefill", "decode")
SECOND = 10**9


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


def _tell(tracer: Tracer, answer: Answer) -> None:
    from opentelemetry import trace

    end = time.time_ns()
    start = end - round(answer.latency["total"] * SECOND)
    whole = tracer.start_span("fairmoe.infer", start_time=start, attributes=_attributes(answer))
    within, at = trace.set_span_in_context(whole), start
    for phase in PHASES:
        taken = round(answer.latency.get(phase, 0.0) * SECOND)
        part = tracer.start_span(f"fairmoe.{phase}", context=within, start_time=at)
        at = min(at + taken, end)
        part.end(at)
    whole.end(end)


def _attributes(answer: Answer) -> dict[str, str | int | bool | list[str] | list[float]]:
    found: dict[str, str | int | bool | list[str] | list[float]] = {
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
