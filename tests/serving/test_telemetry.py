"""Spans of answers, as a collector gets them."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from serving.answer import Answer, RowAnswer, Usage
from serving.audit import AuditRecord
from serving.telemetry import PHASES, spans

LATENCY = {"queue": 0.5, "route": 0.25, "load": 0.0, "prefill": 0.25, "decode": 1.0, "total": 2.0}
AUDIT = AuditRecord("r", "now", "net", "1.0.0", "c", "trusted", "t", "m", ("x",), (), "known", 2, ("a", "b"), "00")


@pytest.fixture
def collected() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(collected: InMemorySpanExporter) -> TracerProvider:
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(collected))
    return made


def test_a_request_is_a_span_and_its_phases_follow_each_other_within(
    provider: TracerProvider, collected: InMemorySpanExporter
) -> None:
    answer = Answer("r1", "a secret", None, (("law", 0.7),), "named", None, "stop", Usage(5, 3), (), LATENCY, "me")
    spans(provider)(answer)
    *parts, whole = collected.get_finished_spans()
    assert whole.name == "fairmoe.infer"
    assert whole.end_time - whole.start_time == 2 * 10**9
    assert [part.name for part in parts] == [f"fairmoe.{phase}" for phase in PHASES]
    assert {part.parent.span_id for part in parts} == {whole.context.span_id}
    assert [part.end_time - part.start_time for part in parts] == [round(LATENCY[phase] * 10**9) for phase in PHASES]
    assert [part.end_time for part in parts[:-1]] == [part.start_time for part in parts[1:]]
    assert parts[0].start_time == whole.start_time
    told = dict(whole.attributes)
    assert told["gen_ai.usage.input_tokens"] == 5
    assert told["gen_ai.usage.output_tokens"] == 3
    assert told["gen_ai.response.finish_reasons"] == ("stop",)
    assert (told["fairmoe.experts"], told["fairmoe.weights"]) == (("law",), (0.7,))
    assert "a secret" not in str(told)


def test_rows_are_counted_and_not_told(provider: TracerProvider, collected: InMemorySpanExporter) -> None:
    rows = RowAnswer((0.25, 0.75), (0, 1), (0.5, 0.5), False, AUDIT)
    spans(provider)(Answer("r2", None, rows, (("net", 1.0),), "named", latency=LATENCY))
    told = dict(collected.get_finished_spans()[-1].attributes)
    assert (told["fairmoe.rows"], told["fairmoe.groups"]) == (2, "known")
    assert "0.75" not in str(told)
    assert not any(name.startswith("gen_ai") for name in told)
