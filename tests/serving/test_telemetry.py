"""Spans of answers, as a collector gets them."""

from __future__ import annotations

import gzip
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from serving.answer import Answer, RowAnswer, Usage
from serving.audit import AuditRecord
from serving.error import ServingError
from serving.telemetry import PHASES, otlp, spans

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


class Collector(BaseHTTPRequestHandler):
    """Keeps the names of the spans that it is sent."""

    names: ClassVar[list[str]] = []
    services: ClassVar[set[str]] = set()

    def do_POST(self) -> None:
        from google.protobuf.message import DecodeError
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            sent = ExportTraceServiceRequest.FromString(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        except DecodeError:
            self.send_response(400)
        else:
            for one in sent.resource_spans:
                told = {each.key: each.value.string_value for each in one.resource.attributes}
                self.services.add(told["service.name"])
                self.names.extend(span.name for scope in one.scope_spans for span in scope.spans)
            self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_collector_gets_spans_by_otlp(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
        with otlp() as tell:
            tell(Answer("r1", "a secret", None, (("law", 0.7),), "named", latency=LATENCY))
        server.shutdown()
        thread.join()
    assert sorted(Collector.names) == sorted(["fairmoe.infer", *(f"fairmoe.{phase}" for phase in PHASES)])
    assert Collector.services == {"fairmoe"}


def test_without_the_exporter_its_name_and_its_group_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ServingError, match=r"opentelemetry-exporter-otlp-proto-http.*--group telemetry"), otlp():
        pass
