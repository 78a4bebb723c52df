"""The server against clients of all kinds: what is refused, how it says so, and that it goes on."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from artefacts.format.manifest import Decoding
from serving.engine import ExpertEngine
from serving.error import HTTP, ServingError
from serving.http import errors
from serving.http.errors import CODES, INTERNAL, code_of, told
from serving.http.running import bind
from serving.http.settings import ApiKeys, ServerSettings
from serving.router import ExpertProfile, Router, RouterConfig
from tests.serving.http.serving_fixtures import KEY, Line, Running, make_engine, running, tiny_base

AUTH = {"Authorization": f"Bearer {KEY}"}
CHAT = {"model": "law", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}


def error_of(found: tuple[int, Any, dict[str, str]]) -> tuple[int, str, str]:
    """Status, code and message; the form is OpenAI's."""
    status, told, headers = found
    assert headers["content-type"] == "application/json"
    assert list(told) == ["error"]
    assert set(told["error"]) == {"message", "type", "param", "code"}
    assert "Traceback" not in told["error"]["message"]
    return status, told["error"]["code"], told["error"]["message"]


def raw(server: Running, sent: bytes, *, wait: float = 10) -> bytes:
    """Everything that the server says to these bytes until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=wait) as connection:
        connection.sendall(sent)
        said = b""
        while part := connection.recv(65536):
            said += part
    return said


def head(path: str, length: int | None = None, *more: str) -> bytes:
    size = [] if length is None else [f"Content-Length: {length}"]
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *size, *more]
    return "\r\n".join([*lines, f"Authorization: Bearer {KEY}", "", ""]).encode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{bad", "no JSON"),
        ("", "body"),
        ("[1, 2]", "body"),
        ("null", "body"),
        ("[" * 20_000, "nested too deeply"),
        ('{"model": "law", "seed": ' + "9" * 5000 + "}", "number too long"),
        (b'{"model": "\xff\xfe"}', "UTF-8"),
        ('{"model": "law", "temperature": NaN, "messages": [{"role": "user", "content": "x"}]}', "temperature"),
    ],
)  # fmt: skip
def test_a_body_that_is_no_request_is_refused_in_openais_form(server: Running, body: str | bytes, words: str) -> None:
    status, code, message = error_of(server.ask("POST", "/v1/chat/completions", body, **AUTH))
    assert (status, code) == (400, "bad_request")
    assert words in message


HUNDRED = ",".join(f'"{i}": [[]]' for i in range(101))
MANY = ",".join(f'"{i}":[]' for i in range(4200))


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        (
            "/predict",
            f'{{"model": "line", "columns": {{"x": [{",".join(["{}"] * 5000)}]}}}}',
            "columns.x[0]: a cell is",
        ),
        ("/predict", f'{{"model": "line", "rows": [{",".join(["[]"] * 5000)}]}}', "rows[0]"),
        ("/predict", f'{{"model": "line", "rows": [{{{MANY}}}]}}', "rows[0]: there are 4,200 entries"),
        ("/predict", f'{{"model": "line", "columns": {{{MANY}}}}}', "columns: there are 4,200 entries"),
        ("/predict", f'{{"model": "line", {HUNDRED}}}', "there are 102 entries"),
        ("/v1/completions", f'{{"model": "law", "prompt": "a", "experts": {{{HUNDRED}}}}}', "there are 101 entries"),
        ("/v1/completions", f'{{"model": "law", "prompt": [{",".join(["1"] * 5000)}]}}', "prompt"),
        ("/v1/completions", f'{{"model": "law", "prompt": "a", "stop": [{",".join(["1"] * 5000)}]}}', "stop"),
        ("/v1/chat/completions", f'{{"model": "law", "messages": [{",".join(["{}"] * 5000)}]}}', "messages[0].role"),
    ],
)
def test_a_body_of_nothing_but_faults_is_refused_at_its_first_ones(
    server: Running, monkeypatch: pytest.MonkeyPatch, path: str, body: str, words: str
) -> None:
    """Each fault is an object: millions of them took the server's time and memory."""
    found: list[int] = []

    def counted(those: Sequence[Mapping[str, Any]]) -> tuple[str, str | None]:
        found.append(len(those))
        return told(those)

    monkeypatch.setattr(errors, "told", counted)
    status, _, message = error_of(server.ask("POST", path, body, **AUTH))
    assert status == 400
    assert words in message
    assert found[0] <= 5


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/law", 405, "method_not_allowed"),
        ("GET", "/v1/embeddings", 404, "not_found"),
        ("POST", "/v1/embeddings", 404, "not_found"),
        ("GET", "/%2e%2e/etc/passwd", 404, "not_found"),
        ("GET", "/experts/nobody", 404, "model_not_found"),
        ("POST", "/experts/nobody/load", 404, "model_not_found"),
    ],
)
def test_a_wrong_path_or_method(server: Running, method: str, path: str, status: int, code: str) -> None:
    assert error_of(server.ask(method, path, **AUTH))[:2] == (status, code)


def test_a_huge_body_is_refused_before_it_is_read(server: Running) -> None:
    said = raw(server, head("/v1/completions", 10**12))
    assert b" 413 " in said.split(b"\r\n")[0]
    assert b"50,000 bytes" in said


def test_a_huge_body_without_a_length_is_cut_off(server: Running) -> None:
    part = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    said = raw(server, head("/v1/completions", None, "Transfer-Encoding: chunked") + part * 2)
    assert b" 413 " in said.split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("size", "more", "status"),
    [(9_000_000, AUTH, 413), (9_000_000, {}, 401), (900_000, {**AUTH, "Content_Type": "text/csv"}, 415)],
)
def test_who_sends_a_large_body_in_one_go_hears_why_it_is_refused(
    engine: ExpertEngine, size: int, more: dict[str, str], status: int
) -> None:
    """A connection that is closed while the client still sends is all that it would hear of."""
    settings = ServerSettings(keys=ApiKeys([KEY]), max_body_bytes=1_000_000)
    with running(engine, settings) as server:
        for _ in range(3):
            assert error_of(server.ask("POST", "/predict", b" " * size, **more))[0] == status


def test_a_body_that_does_not_come_is_given_up(server: Running) -> None:
    said = raw(server, head("/v1/completions", 50) + b"{")
    assert b" 408 " in said.split(b"\r\n")[0]
    assert b"slow_request" in said


@pytest.mark.parametrize("sent", [b"", b"POST /v1/completions HTTP/1.1\r\nHost: local"])
def test_a_connection_that_says_nothing_is_closed(server: Running, sent: bytes) -> None:
    assert raw(server, sent) == b""


def test_two_requests_on_one_connection_are_both_answered(server: Running) -> None:
    body = json.dumps(CHAT).encode()
    first, last = (head("/v1/chat/completions", len(body), *more) for more in ([], ["Connection: close"]))
    said = raw(server, first + body + last + body, wait=20)
    assert said.count(b"HTTP/1.1 200 OK") == 2


def test_only_json_is_read(server: Running) -> None:
    found = server.ask("POST", "/v1/chat/completions", "a=b", **AUTH, Content_Type="application/x-www-form-urlencoded")
    assert error_of(found)[:2] == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "key", ["", "Bearer", f"Basic {KEY}", "Bearer wrong", f"Bearer {KEY}x", f"bearer {KEY[:-1]}", KEY]
)
def test_without_the_key_nothing_is_told(server: Running, key: str) -> None:
    for path in ("/v1/models", "/metrics", "/", "/openapi.json", "/nothing", "/experts"):
        found = server.ask("GET", path, **({"Authorization": key} if key else {}))
        assert error_of(found)[:2] == (401, "invalid_api_key")
        assert found[2]["www-authenticate"] == "Bearer"
        assert KEY not in str(found[1])


def test_health_needs_no_key(server: Running) -> None:
    assert server.ask("GET", "/healthz")[:2] == (200, {"status": "ok"})
    assert server.ask("GET", "/readyz")[:2] == (200, {"status": "ready"})


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("LOCALHOST", 200),
        ("evil.example:8000", 403), ("localhost.evil.example", 403), ("127.0.0.1.evil.example", 403), ("", 403),
        ("localhost:8000@evil.example", 403),
    ],
)  # fmt: skip
def test_without_a_key_pages_of_others_cannot_ask_under_their_own_name(
    engine: ExpertEngine, host: str, status: int
) -> None:
    with running(engine) as server:
        assert server.ask("GET", "/v1/models", Host=host)[0] == status


def test_web_pages_may_ask_only_if_told(engine: ExpertEngine) -> None:
    asked = {"Origin": "https://page.example", "Access_Control_Request_Method": "POST"}
    with running(engine) as server:
        assert not [
            name for name in server.ask("OPTIONS", "/v1/models", **asked)[2] if name.startswith("access-control")
        ]
    with running(engine, ServerSettings(cors=("https://page.example",))) as server:
        headers = server.ask("OPTIONS", "/v1/models", **asked)[2]
        assert headers["access-control-allow-origin"] == "https://page.example"
        other = server.ask("OPTIONS", "/v1/models", **{**asked, "Origin": "https://other.example"})[2]
        assert "access-control-allow-origin" not in other


def test_rows_come_as_records_or_columns_and_give_the_same(server: Running) -> None:
    records = {"model": "line", "rows": [{"x": 1.5, "sex": "f"}, {"x": -2, "sex": "m"}]}
    columns = {"model": "auto", "columns": {"x": [1.5, -2], "sex": ["f", "m"]}}
    first, second = (server.ask("POST", "/predict", body, **AUTH)[1] for body in (records, columns))
    assert first["probabilities"] == second["probabilities"] == pytest.approx([0.81757447, 0.11920292])
    assert first["decisions"] == [1, 0]
    assert first["audit"]["expert"] == "line"
    assert first["audit"]["columns"] == ["x", "sex"]
    assert first["audit"]["rows"] == 2
    assert first["audit"]["request"] == first["id"].replace("pred-", "req-")
    assert '"f"' not in json.dumps(first["audit"])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"rows": []}, "rows"),
        ({}, "one of the two"),
        ({"rows": [{"x": 1}], "columns": {"x": [1]}}, "one of the two"),
        ({"columns": {"x": [1], "y": [1, 2]}}, "differ in length"),
        ({"columns": {"x": []}}, "row"),
        ({"rows": [{"x": 1, "y": 2}, {"x": 1}]}, "Row 2 has no 'y'"),
        ({"rows": [{"x": [1]}]}, "rows[0].x"),
        ({"rows": [{"x": "much"}]}, "x"),
        ({"rows": [{"x": None}]}, "Row 1 has no x"),
        ({"rows": [{"y": 1}]}, "x"),
        ({"rows": [{"x": 10**400}]}, "numbers"),
        ({"rows": [{}]}, ""),
        ({"rows": [{"x": 1}] * 101}, "takes 100"),
        ({"rows": [{"x": "\ud800"}]}, "surrogate"),
        ({"rows": [{"\ud800": 1}]}, "surrogate"),
        ({"rows": [{"x": 1}], "threshold": 0.5}, "Unrecognized request argument supplied: threshold"),
        ({"model": "law", "rows": [{"x": 1}]}, "law"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_predicted_are_refused_with_the_reason(
    server: Running, body: dict[str, Any], words: str
) -> None:
    status, code, message = error_of(server.ask("POST", "/predict", {"model": "line", **body}, **AUTH))
    assert (status, code) == (400, "bad_request"), message
    assert words in message


def test_experts_are_loaded_pinned_and_let_go(server: Running) -> None:
    def state(name: str) -> tuple[bool, bool]:
        found = server.ask("GET", f"/experts/{name}", **AUTH)[1]
        return found["loaded"], found["pinned"]

    for name in ("med", "line"):
        assert server.ask("POST", f"/experts/{name}/pin", **AUTH)[0] == 200
        assert state(name) == (True, True)
        assert server.ask("POST", f"/experts/{name}/unpin", **AUTH)[0] == 200
        assert server.ask("POST", f"/experts/{name}/unload", **AUTH)[1]["loaded"] is False
        assert server.ask("POST", f"/experts/{name}/load", **AUTH)[1]["loaded"] is True
        assert state(name) == (True, False)
    listed = server.ask("GET", "/experts", **AUTH)[1]["data"]
    assert [each["name"] for each in listed] == ["base", "auto", "art", "law", "line", "med"]


def test_experts_are_left_alone_where_requests_may_not_manage(engine: ExpertEngine) -> None:
    with running(engine, ServerSettings(manage=False)) as server:
        assert error_of(server.ask("POST", "/experts/law/load"))[:2] == (403, "forbidden")
        assert error_of(server.ask("POST", "/experts/law/weight", {"priority": 1}))[:2] == (403, "forbidden")
        assert server.ask("GET", "/experts/law")[0] == 200


COURT = {"model": "auto", "prompt": "the court", "max_tokens": 1}


def court_router() -> Router:
    """Two experts of the same keyword: the first name goes first of those of the same priority."""
    profiles = [ExpertProfile(name, keywords=("court",)) for name in ("law", "med")]
    return Router.of(profiles, RouterConfig(at_most=1))


def chosen(server: Running) -> list[str]:
    status, found, _ = server.ask("POST", "/v1/completions", COURT, **AUTH)
    assert status == 200, found
    return [one["name"] for one in found["fairmoe"]["experts"]]


def test_an_operator_reads_and_sets_by_how_much_auto_prefers_an_expert(tmp_path: Path) -> None:
    engine, shelf = make_engine(tmp_path, router=court_router())
    with engine, running(engine, ServerSettings(keys=ApiKeys([KEY]))) as server:

        def weigh(name: str, priority: float | None) -> Any:
            return server.ask("POST", f"/experts/{name}/weight", {"priority": priority}, **AUTH)[1]["priority"]

        assert server.ask("GET", "/experts/med", **AUTH)[1]["priority"] == 0.5
        assert chosen(server) == ["law"]
        assert weigh("med", 0.9) == 0.9
        assert chosen(server) == ["med"]
        assert weigh("law", 1) == 1
        assert chosen(server) == ["law"]
        assert weigh("law", None) == 0.5
        assert chosen(server) == ["med"]
        listed = {each["name"]: each.get("priority") for each in server.ask("GET", "/experts", **AUTH)[1]["data"]}
        assert listed == {"base": None, "auto": None, "art": 0.5, "law": 0.5, "line": None, "med": 0.9}
        gone = shelf.entries.pop("med")
        for _ in range(100):  # the engine looks around while it waits
            if (
                server.ask("POST", "/experts/med/weight", {"priority": 1}, **AUTH)[0] == 410
                and not engine._priorities._set
            ):
                break
            time.sleep(0.05)
        shelf.entries["med"] = gone
        assert server.ask("GET", "/experts/med", **AUTH)[1]["priority"] == 0.5


def test_outcomes_stay_when_priorities_change(tmp_path: Path) -> None:
    router = court_router()
    engine, _ = make_engine(tmp_path, router=router)
    with engine, running(engine) as server:
        assert server.ask("POST", "/experts/med/weight", {"priority": 0.9})[0] == 200
        found = server.ask("POST", "/v1/completions", COURT)[1]
        assert server.ask("POST", "/feedback", {"id": found["id"], "won": True})[0] == 200
    assert router.outcomes.counts == {"med": (1, 0)}


@pytest.mark.parametrize(
    ("name", "body", "status", "words"),
    [
        ("law", {"priority": 1.5}, 400, "less than or equal to 1"),
        ("law", {"priority": -0.1}, 400, "greater than or equal to 0"),
        ("law", {"priority": True}, 400, "valid number"),
        ("law", {"priority": "0.7"}, 400, "valid number"),
        ("law", '{"priority": NaN}', 400, "number"),
        ("law", {}, 400, "priority"),
        ("law", {"priority": 0.5, "weight": 0.5}, 400, "weight"),
        ("line", {"priority": 0.7}, 400, "answers rows"),
        ("nobody", {"priority": 0.7}, 404, "no expert 'nobody'"),
        ("auto", {"priority": 0.7}, 404, "no expert 'auto'"),
    ],
)
def test_a_priority_that_cannot_be_set_is_refused(
    weighed: Running, name: str, body: str | dict[str, Any], status: int, words: str
) -> None:
    found = error_of(weighed.ask("POST", f"/experts/{name}/weight", body))
    assert found[0] == status, found
    assert words in found[2]


@pytest.fixture(scope="module")
def weighed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    engine, _ = make_engine(tmp_path_factory.mktemp("weighed"), router=court_router())
    with engine, running(engine) as server:
        yield server


def test_without_a_router_there_is_no_priority(server: Running) -> None:
    found = error_of(server.ask("POST", "/experts/law/weight", {"priority": 0.7}, **AUTH))
    assert (found[0], "no router" in found[2]) == (400, True)
    assert "priority" not in server.ask("GET", "/experts/law", **AUTH)[1]


def test_weights_need_the_key(server: Running) -> None:
    assert error_of(server.ask("POST", "/experts/law/weight", {"priority": 0.7}))[0] == 401


def test_numbers_for_operators(engine: ExpertEngine) -> None:
    with running(engine) as server:
        server.ask("POST", "/v1/chat/completions", CHAT)
        server.ask("POST", "/predict", {"model": "line", "rows": [{"x": 1}] * 3})
        server.ask("POST", "/v1/chat/completions", {**CHAT, "model": "nobody"})
        server.ask("GET", "/made/up/by/a/client")
        _, text, headers = server.ask("GET", "/metrics")
    assert headers["content-type"].startswith("text/plain; version=")
    for line in (
        'fairmoe_requests_total{route="/v1/chat/completions",status="200"} 1.0',
        'fairmoe_requests_total{route="/v1/chat/completions",status="404"} 1.0',
        'fairmoe_requests_total{route="other",status="404"} 1.0',
        'fairmoe_errors_total{reason="unknown-expert"} 1.0',
        'fairmoe_tokens_total{kind="completion"} 2.0',
        "fairmoe_rows_total 3.0",
        'fairmoe_phase_seconds_count{phase="decode"} 2.0',
        "fairmoe_engine_waiting 0.0",
    ):
        assert line in text.splitlines()
    assert "made" not in text


def test_the_page_shows_names_as_they_are_and_fetches_nothing(tmp_path: Path) -> None:
    engine, shelf = make_engine(tmp_path)
    shelf.entries["evil"] = replace(shelf.entries["line"], name="evil", description="<script>alert(1)</script>")
    with engine, running(engine) as server:
        _, page, headers = server.ask("GET", "/", Accept="text/html")
        assert server.ask("GET", "/")[1]["schema"] == "/openapi.json"
        assert "/predict" in server.ask("GET", "/openapi.json")[1]["paths"]
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert "src=" not in page
    assert headers["content-security-policy"].startswith("default-src 'none'")


def test_a_full_queue_says_when_to_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def held(self: Line, frame: Any) -> Any:
        assert gate.wait(20)
        return real(self, frame)

    real = Line.predict_proba
    monkeypatch.setattr(Line, "predict_proba", held)
    engine, _ = make_engine(tmp_path, max_waiting=1)
    body = {"model": "line", "rows": [{"x": 1}]}
    found: list[tuple[int, Any, dict[str, str]]] = []
    with engine, running(engine) as server:
        clients = [
            threading.Thread(target=lambda: found.append(server.ask("POST", "/predict", body))) for _ in range(6)
        ]
        for client in clients:
            client.start()
        for _ in range(1000):
            if len(found) >= 4:
                break
            time.sleep(0.005)
        gate.set()
        for client in clients:
            client.join()
    statuses = sorted(each[0] for each in found)
    assert set(statuses) == {200, 429}
    refused = next(each for each in found if each[0] == 429)
    assert error_of(refused)[1] == "rate_limit_exceeded"
    assert int(refused[2]["retry-after"]) >= 1


def test_more_requests_than_are_taken_at_once_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, real = threading.Event(), Line.predict_proba

    def held(self: Line, frame: Any) -> Any:
        assert gate.wait(20)
        return real(self, frame)

    monkeypatch.setattr(Line, "predict_proba", held)
    engine, _ = make_engine(tmp_path)
    body = {"model": "line", "rows": [{"x": 1}]}
    found: list[int] = []
    with engine, running(engine, ServerSettings(max_requests=1)) as server:
        first = threading.Thread(target=lambda: found.append(server.ask("POST", "/predict", body)[0]))
        first.start()
        for _ in range(1000):
            if engine.stats().running:
                break
            time.sleep(0.005)
        refused = server.ask("POST", "/predict", body)
        assert server.ask("GET", "/healthz")[0] == 200
        gate.set()
        first.join()
    assert error_of(refused)[:2] == (429, "rate_limit_exceeded")
    assert refused[2]["retry-after"] == "1"
    assert found == [200]


def test_a_fault_inside_stays_inside_and_the_server_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, _ = make_engine(tmp_path)
    real = Line.predict_proba

    def broken(self: Line, frame: Any) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(Line, "predict_proba", broken)
    with engine, running(engine) as server:
        found = server.ask("POST", "/predict", {"model": "line", "rows": [{"x": 1}]})
        assert error_of(found) == (500, "internal", INTERNAL)
        monkeypatch.setattr(Line, "predict_proba", real)
        assert server.ask("POST", "/predict", {"model": "line", "rows": [{"x": 1}]})[0] == 200


def test_a_request_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr("serving.http.guard.GRACE", 0.1)
    monkeypatch.setattr(Line, "predict_proba", lambda _self, _frame: gate.wait(20))
    engine, _ = make_engine(tmp_path)
    body = {"model": "line", "rows": [{"x": 1}]}
    with engine, running(engine, ServerSettings(request_seconds=0.2)) as server:
        running_one = threading.Thread(target=lambda: server.ask("POST", "/predict", body))
        running_one.start()
        found = server.ask("POST", "/predict", body)
        gate.set()
        running_one.join()
    assert error_of(found)[:2] == (504, "timeout")


def test_an_expert_that_is_uninstalled_is_gone_and_the_rest_answers(tmp_path: Path) -> None:
    engine, shelf = make_engine(tmp_path)
    with engine, running(engine) as server:
        assert server.ask("POST", "/v1/chat/completions", CHAT)[0] == 200
        kept = shelf.entries.pop("law")
        assert error_of(server.ask("POST", "/v1/chat/completions", CHAT))[:2] == (410, "expert_gone")
        assert "law" not in [model["id"] for model in server.ask("GET", "/v1/models")[1]["data"]]
        assert server.ask("POST", "/v1/chat/completions", {**CHAT, "model": "med"})[0] == 200
        shelf.entries["law"] = kept
        assert server.ask("POST", "/v1/chat/completions", CHAT)[0] == 200


def test_running_answers_end_before_the_server_does(tmp_path: Path) -> None:
    engine, _ = make_engine(tmp_path)
    found: list[Any] = []
    body = {**CHAT, "max_tokens": 60, "temperature": 0}
    with engine:
        with running(engine) as server:
            client = threading.Thread(target=lambda: found.append(server.ask("POST", "/v1/chat/completions", body)))
            client.start()
            while not engine.stats().running:
                time.sleep(0.002)
            server.server.should_exit = True
        client.join(10)
    assert found[0][0] == 200
    assert found[0][1]["usage"]["completion_tokens"] == 60


def test_clients_are_not_told_where_the_base_lies(tmp_path: Path) -> None:
    from llm_experts.runtime.resident import ResidentBase

    base = replace(tiny_base(), id="/srv/secret/models/tiny")
    with ExpertEngine(ResidentBase(base, slots=1), catalogue=dict) as engine, running(engine) as server:
        told = [
            server.ask("POST", "/v1/completions", {"model": "tiny", "prompt": "The applicant " * 5000}),
            server.ask("POST", "/v1/completions", {"model": "tiny", "prompt": "The", "max_tokens": 2}),
            server.ask("GET", "/v1/models"),
            server.ask("GET", "/v1/models/tiny"),
            server.ask("GET", "/"),
        ]
    assert [each[0] for each in told] == [400, 200, 200, 200, 200]
    assert "tiny takes" in told[0][1]["error"]["message"]
    assert "secret" not in str(told)


def test_a_taken_port_is_one_paragraph() -> None:
    with bind(ServerSettings(port=0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServingError, match=f"--port {port + 1}"):
            bind(ServerSettings(port=port))


def test_an_unknown_host_is_one_paragraph() -> None:
    with pytest.raises(ServingError, match="cannot be used"):
        bind(ServerSettings(host="no.such.host.invalid"))


def test_every_reason_has_a_code() -> None:
    assert {code_of(reason) for reason in HTTP} >= set(CODES.values())
    assert all("-" not in code_of(reason) for reason in HTTP)


def test_an_expert_of_a_package_that_holds_several_is_managed_by_its_name(tmp_path: Path) -> None:
    engine, shelf = make_engine(tmp_path)
    shelf.entries["bank/law"] = replace(shelf.entries["law"], name="bank/law")
    with engine, running(engine) as server:
        for path in ("bank/law", "bank%2Flaw"):
            for what in ("load", "pin", "unpin", "unload"):
                status, told, _ = server.ask("POST", f"/experts/{path}/{what}")
                assert (status, told["name"], told["loaded"]) == (200, "bank/law", what != "unload")
            assert server.ask("GET", f"/experts/{path}")[1]["name"] == "bank/law"


def test_packages_say_how_text_is_generated_where_a_request_does_not(tmp_path: Path) -> None:
    made, shelf = make_engine(tmp_path)
    told = {"law": Decoding(max_new_tokens=5, temperature=0.0), "med": Decoding(max_new_tokens=10**6, temperature=0.0)}
    for name, decoding in told.items():
        shelf.entries[name] = replace(shelf.entries[name], decoding=decoding)
    with made, running(made, ServerSettings(max_new_tokens=20)) as server:

        def tokens(path: str, **fields: Any) -> int:
            usage: dict[str, int] = server.ask("POST", path, fields)[1]["usage"]
            return usage["completion_tokens"]

        messages = CHAT["messages"]
        assert tokens("/v1/chat/completions", model="law", messages=messages) == 5
        assert tokens("/v1/completions", model="law", prompt="The") == 5
        assert tokens("/v1/completions", model="law", prompt="The", max_tokens=7) == 7
        assert tokens("/v1/completions", model="med", prompt="The") == 20  # no more than the server allows
