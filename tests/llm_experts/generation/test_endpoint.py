"""Items from an endpoint: its faults one by one, what they cost, when nothing more is asked, what is asked twice."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_experts.data.error import DataError
from llm_experts.generation.budget import Budget
from llm_experts.generation.checks.registry import checks_named
from llm_experts.generation.context import Context
from llm_experts.generation.produce import Produced, produce
from llm_experts.generation.providers.registry import provider_named
from llm_experts.generation.spec import DataSpec
from llm_experts.generation.writers.endpoint import EndpointError, same_model
from tests.llm_experts.generation.production_fixtures import FILES, contents, spec_of
from tests.llm_experts.generation.protocol_server import Handler, Server, cut, refused, said, served, slow

CHECKS = checks_named(("answer", "clarity"))
PRICE = (1.0, 2.0)  # a reply of 100 and 50 tokens: 200 millionths of a dollar


def item(number: int, shift: int = 1) -> dict[str, Any]:
    """An item whose answer its facts call right; with a shift of 0 they call it wrong."""
    prompt = f"Ann has {number} pens. Finds 1 more. How many now? Answer:"
    return {"prompt": prompt, "completion": str(number + shift), "facts": {"answer": number + 1}}


def writing(first: int = 100) -> Any:
    """What the server usually says: as many items as are asked for, never one twice."""
    numbers = itertools.count(first)

    def step(handler: Handler, body: dict[str, Any]) -> None:
        many = int(body["messages"][1]["content"].split()[1])
        said(json.dumps({"items": [item(next(numbers)) for _ in range(many)]}))(handler, body)

    return step


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-word")
    with served(writing()) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        yield running


def options(tmp_path: Path, **more: Any) -> dict[str, Any]:
    waited: list[float] = []
    return {
        "models": ["writer"], "prices": [PRICE], "cache": tmp_path / "cache", "sleep": waited.append, "items": 4, **more
    }  # fmt: skip


def write(tmp_path: Path, given: dict[str, Any], spec: DataSpec | None = None, **more: Any) -> Produced:
    provider = provider_named("openai", given)
    order = spec or spec_of(8, "arithmetic")
    return produce(order, provider, Context(), checks=CHECKS, folder=tmp_path / "set", seed=0, **more)


def test_items_are_written_verified_and_paid(server: Server, tmp_path: Path) -> None:
    produced = write(tmp_path, options(tmp_path), spec_of(8, "arithmetic", requirements=("use pens",)))
    assert [example.completion for example in produced.accepted] == [str(n) for n in range(101, 109)]
    assert all(example.facts["family"] == "arithmetic" for example in produced.accepted)
    assert produced.report.dollars == pytest.approx(2 * 200e-6) and produced.report.provider == "openai"
    path, key, body = server.seen[0]
    assert (path, key, len(server.seen)) == ("/v1/chat/completions", "Bearer secret-word", 2)
    assert body["response_format"] == {"type": "json_object"} and body["model"] == "writer"
    asked = body["messages"][1]["content"]
    for words in ("Write 4 different items", "Requirement: use pens", "answer: a whole number", "Difficulty: 0, "):
        assert words in asked
    assert "secret-word" not in "".join((tmp_path / "set" / name).read_text() for name in FILES)


def test_what_cannot_be_read_is_counted_with_its_reason(server: Server, tmp_path: Path) -> None:
    bad = [item(1, 0), {**item(2), "more": 1}, {**item(3), "facts": {"answer": "4"}}, "item"]
    server.script = [said(json.dumps({"items": bad})), said(json.dumps({"items": [item(5)]}))]
    produced = write(tmp_path, options(tmp_path), spec_of(8, "arithmetic"))
    rejected = [json.loads(line) for line in (tmp_path / "set" / "rejected.jsonl").read_text().splitlines()]
    reasons = [reason for line in rejected for reason in line["reasons"].values()]
    assert len(produced.accepted) == 8 and produced.report.drafts == 8 + 7
    assert reasons[:4] == [
        "arithmetic refutes its answer: 1 is not 2",
        "the item has the fields completion, facts, more, prompt, not completion, facts, prompt",
        "its facts are answer, not answer, each of its kind",
        "the item is not an object",
    ]
    assert reasons[4:] == ["the answer has only 1 items"] * 3
    assert produced.report.checks["form"]["failed"] == 6 and produced.report.checks["answer"]["failed"] == 1


@pytest.mark.parametrize(
    ("fault", "least"),
    [
        (refused(429, "slow down", Retry_After="7"), 7.0),
        (refused(429, "slow down", Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"), 0.5),
        (refused(500), 0.5),
        (refused(503, "busy", Retry_After="never"), 0.5),
        (cut, 0.5),
        (slow(0.4), 0.5),
        (lambda handler, body: handler.send(200, b'{"id": "c", "choi'), 0.5),
        (lambda handler, body: handler.send(200, {"hello": 1}), 0.5),
    ],
    ids=["429", "429-date", "500", "503", "cut", "slow", "torn-json", "no-completion"],
)
def test_faults_that_pass_are_waited_for(fault: Any, least: float, server: Server, tmp_path: Path) -> None:
    server.script = [fault]
    waited: list[float] = []
    produced = write(tmp_path, options(tmp_path, sleep=waited.append, timeout=0.2))
    assert len(produced.accepted) == 8 and produced.report.drafts == 8
    assert len(server.seen) == 3 and len(waited) == 1 and least <= waited[0] <= max(least, 1.0)
    assert produced.report.dollars == pytest.approx(2 * 200e-6)


def test_waits_double_with_jitter_and_end_in_an_error_that_loses_nothing(server: Server, tmp_path: Path) -> None:
    server.script = [writing()]
    server.usual = refused(500, "broken")
    waited: list[float] = []
    with pytest.raises(EndpointError, match=r"did not answer in 4 tries; the last time: 500: .*go on") as told:
        write(tmp_path, options(tmp_path, sleep=waited.append, tries=4))
    assert "secret-word" not in str(told.value)
    assert all(2**n / 2 <= wait <= 2**n for n, wait in enumerate(waited)) and len(waited) == 3
    again: list[float] = []
    with pytest.raises(EndpointError):
        write(tmp_path, options(tmp_path, sleep=again.append, tries=4))
    assert again == waited  # by seed
    server.usual = writing(500)
    assert write(tmp_path, options(tmp_path, tries=4)).report.items == 8
    assert len(server.seen) == 1 + 4 + 4 + 1  # what was made before was not asked for again


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (refused(401, "bad key"), r"refuses the key \(401\). Set OPENAI_API_KEY"),
        (refused(404, "none"), r"has no model 'writer' \(404: .*Name one that it has"),
        (refused(400, "json mode is unknown"), r"refuses the request \(400: .*json mode is unknown"),
        (refused(429, "pay", code="insufficient_quota"), "has no money left for this key"),
        (refused(429, "wait", Retry_After="86400"), "asks to wait 86400 seconds"),
        (said("{}", model="other-model"), "answered with the model 'other-model'. 'writer' was asked for"),
    ],
    ids=["401", "404", "400", "quota", "a-day", "wrong-model"],
)
def test_faults_that_do_not_pass_are_explained_at_once(
    fault: Any, message: str, server: Server, tmp_path: Path
) -> None:
    server.script = [fault]
    with pytest.raises(EndpointError, match=message):
        write(tmp_path, options(tmp_path))
    assert len(server.seen) == 1


def test_malformed_json_is_asked_again_then_counted(server: Server, tmp_path: Path) -> None:
    server.script = [said("not json"), said("[1]"), said('{"items": NaN}')]
    produced = write(tmp_path, options(tmp_path))
    assert produced.report.checks["form"]["failed"] == 4 and len(produced.accepted) == 8
    assert produced.report.dollars == pytest.approx((3 + 2) * 200e-6)  # what cannot be read is paid as well
    (first, *_) = (tmp_path / "set" / "rejected.jsonl").read_text().splitlines()
    assert json.loads(first)["reasons"]["form"].startswith("the answer is not JSON (NaN is no JSON")


def test_a_rerun_costs_nothing_and_gives_the_same_bytes(server: Server, tmp_path: Path) -> None:
    server.script = [said("not json")]
    write(tmp_path, options(tmp_path))
    before, asked = contents(tmp_path / "set"), len(server.seen)
    for name in before:
        (tmp_path / "set" / name).unlink()
    write(tmp_path, options(tmp_path))
    assert contents(tmp_path / "set") == before and len(server.seen) == asked == 3
    whole = before["journal.jsonl"]
    for end in (len(whole) // 3, len(whole) // 2, len(whole) - 5):  # killed there
        (tmp_path / "set" / "journal.jsonl").write_bytes(whole[:end])
        write(tmp_path, options(tmp_path))
        assert contents(tmp_path / "set") == before
    (torn, *_) = sorted((tmp_path / "cache").iterdir())
    torn.write_text("{")
    (tmp_path / "set" / "journal.jsonl").unlink()
    write(tmp_path, options(tmp_path))
    assert len(server.seen) == asked + 1  # only the torn answer


def test_nothing_is_asked_that_could_exceed_the_budget(server: Server, tmp_path: Path) -> None:
    given = options(tmp_path, longest=1000)  # at most about 3,000 bytes read and 1,000 tokens written: under .006
    stopped = write(tmp_path, given, spec_of(80, "arithmetic"), budget=Budget(dollars=0.005)).report
    assert stopped.stopped == "budget" and 0 < stopped.items < 80
    assert stopped.dollars == pytest.approx(len(server.seen) * 200e-6) and stopped.dollars <= 0.005
    assert "stopped (its dollars are spent); another run goes on" in stopped.said[-1]
    asked = len(server.seen)
    assert write(tmp_path, given, spec_of(80, "arithmetic"), budget=Budget(dollars=0.005)).report == stopped
    assert len(server.seen) == asked  # the budget is that of the set, not of a run
    none = write(tmp_path / "none", given, spec_of(80, "arithmetic", difficulty=0.5), budget=Budget(dollars=0.0)).report
    assert none.items == 0 and len(server.seen) == asked
    whole = write(tmp_path, given, spec_of(80, "arithmetic"), budget=Budget(dollars=1.0)).report
    assert whole.items == 80 and whole.stopped == ""


def test_an_answer_that_was_lost_may_have_been_charged(server: Server, tmp_path: Path) -> None:
    spec, given = spec_of(80, "arithmetic"), options(tmp_path, longest=1000)
    clean = write(tmp_path / "clean", given, spec, budget=Budget(dollars=0.005)).report.items
    server.script = [cut]
    lossy = write(tmp_path / "lossy", {**given, "cache": tmp_path / "other"}, spec, budget=Budget(dollars=0.005)).report
    assert lossy.stopped == "budget" and lossy.items < clean


def test_requests_are_bounded_where_no_price_is_known(server: Server, tmp_path: Path) -> None:
    unknown = options(tmp_path, prices=())
    with pytest.raises(DataError, match=r"What the model costs is not known.*--max-requests"):
        write(tmp_path, unknown)
    report = write(tmp_path, {**unknown, "max_requests": 1}).report
    assert (report.stopped, report.items, report.dollars, len(server.seen)) == ("requests", 4, 0.0, 1)
    assert write(tmp_path, {**unknown, "max_requests": 1}).report.items == 8


def test_two_models_take_turns(server: Server, tmp_path: Path) -> None:
    with served(writing(500)) as second:
        given = options(tmp_path, models=["writer", "vendor/other"], urls=[server.url, second.url])
        write(tmp_path, given, spec_of(12, "arithmetic"))
        assert [body["model"] for _, _, body in server.seen] == ["writer", "writer"]
        assert [body["model"] for _, _, body in second.seen] == ["vendor/other"]


def test_without_key_or_with_wrong_options_nothing_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(EndpointError, match="variable OPENAI_API_KEY is not set. Set it"):
        provider_named("openai", options(tmp_path))
    for more, message in (
        ({"models": []}, "none is named"),
        ({"modles": ["a"]}, "has no option 'modles'; options are models"),
        ({"urls": ["a", "b"]}, "There are 1 models and 2 urls"),
        ({"prices": [(-1.0, 1.0)]}, "A price of -1,1 is none"),
        ({"items": 0}, "at least one item"),
    ):
        with pytest.raises(DataError, match=message):
            provider_named("openai", options(tmp_path, **more))
    with pytest.raises(DataError, match="There is no provider 'magic'; providers are model, openai, template"):
        provider_named("magic")


def test_models_are_the_same_with_their_date_and_without_their_vendor() -> None:
    assert same_model("gpt-4o", "gpt-4o-2024-08-06") and same_model("openai/gpt-4o", "gpt-4o")
    assert not same_model("gpt-4o", "gpt-4o-mini") and not same_model("gpt-4o", "gpt-4")
