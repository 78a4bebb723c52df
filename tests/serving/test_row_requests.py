"""Requests about rows: put together, told apart, recorded, given up, refused, and answered while experts go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from serving.answer import Answer
from serving.catalogue import Entry
from serving.engine import EngineSettings, ExpertEngine
from serving.error import ServingError
from serving.request import Request
from serving.work.auditing import row_hashes


@dataclass
class Line:
    """A row expert whose probability is the logistic of one column; ``gate`` holds it up."""

    gate: threading.Event = field(default_factory=threading.Event)
    batches: list[int] = field(default_factory=list)
    decides_in_batches: bool = False
    columns_needed: tuple[str, ...] = ("x",)
    group_columns: tuple[str, ...] = ("sex",)
    needs_group: bool = False
    facts: Mapping[str, Any] = field(default_factory=lambda: {"task": "toy", "method": "line"})

    def predict_proba(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        assert self.gate.wait(10)
        if frame["x"].isna().any():
            raise ValueError(f"Row {int(frame['x'].isna().argmax()) + 1} has no x.")
        self.batches.append(len(frame))
        positive = 1 / (1 + np.exp(-frame["x"].to_numpy(np.float64)))
        return np.column_stack((1 - positive, positive))

    def predict(self, frame: pd.DataFrame) -> npt.NDArray[np.int64]:
        return (self.predict_proba(frame)[:, 1] > 0.5).astype(np.int64)


@dataclass
class World:
    """What is installed, and the engine that answers from it."""

    line: Line
    installed: dict[str, Entry]
    engine: ExpertEngine
    answers: list[Answer]


ENTRY = Entry("line", "rows", version="1.0.0", content="c" * 64, trust="trusted", columns=("x",))


@pytest.fixture
def world() -> Iterator[World]:
    line, installed, answers = Line(), {"line": ENTRY}, list[Answer]()
    opened: Callable[[str], Line] = {"line": line}.__getitem__
    settings = EngineSettings(max_waiting=8, max_batch=6)
    with ExpertEngine(
        catalogue=lambda: dict(installed), open_rows=opened, settings=settings, on_answer=answers.append
    ) as engine:
        yield World(line, installed, engine, answers)
        line.gate.set()


def frame(*values: float) -> pd.DataFrame:
    return pd.DataFrame({"x": values, "y": 0})


def asked(*values: float, client: str = "", **more: Any) -> Request:
    return Request(rows=frame(*values), experts={"line": 1.0}, client=client, **more)


def held_up(world: World) -> None:
    """A first request is running, so that what comes next waits."""
    world.engine.submit(asked(0.0))
    while world.engine.stats().waiting:
        threading.Event().wait(0.001)


def test_an_answer_has_probabilities_decisions_and_a_record_without_the_rows(world: World) -> None:
    world.line.gate.set()
    answer = world.engine.infer(rows=frame(-1.0, 3.125), experts=["line"])
    assert answer.rows is not None
    assert answer.rows.probabilities == pytest.approx([1 / (1 + np.e), 1 / (1 + np.exp(-3.125))])
    assert answer.rows.decisions == (0, 1)
    assert answer.rows.thresholds == (0.5, 0.5)
    audit = answer.rows.audit
    assert (audit.expert, audit.version, audit.content, audit.trust) == ("line", "1.0.0", "c" * 64, "trusted")
    assert (audit.request, audit.task, audit.method, audit.rows) == (answer.id, "toy", "line", 2)
    assert (audit.columns, audit.ignored, audit.groups) == (("x",), ("y",), "unknown")
    assert audit.row_hashes == row_hashes(frame(-1.0, 3.125), ("x",), audit.salt)
    assert "3.125" not in str(audit.as_json())
    assert set(answer.latency) == {"queue", "route", "load", "prefill", "decode", "total"}
    assert (answer.experts, answer.why) == ((("line", 1.0),), "the request names them")


def test_equal_rows_have_equal_hashes_within_a_record_and_others_across_records(world: World) -> None:
    world.line.gate.set()
    first, second = (world.engine.infer(rows=frame(2.0, 2, 3), experts=["line"]).rows for _ in range(2))
    assert first is not None
    assert second is not None
    hashes = first.audit.row_hashes
    assert hashes[0] == hashes[1] != hashes[2]
    assert not set(hashes) & set(second.audit.row_hashes)
    text = pd.DataFrame({"x": ["2", "2.5", None]})
    assert row_hashes(text, ("x",), "00")[:2] == row_hashes(frame(2.0, 2.5), ("x",), "00")


def test_requests_that_wait_are_put_into_one_call_and_told_apart(world: World) -> None:
    held_up(world)
    tickets = [world.engine.submit(asked(float(number), number + 0.5)) for number in range(1, 5)]
    world.line.gate.set()
    for number, ticket in enumerate(tickets, 1):
        rows = ticket.result(10).rows
        assert rows is not None
        assert rows.probabilities == pytest.approx([1 / (1 + np.exp(-v)) for v in (number, number + 0.5)])
        assert rows.audit.rows == 2
    assert world.line.batches == [1, 6, 2]  # max_batch is 6


def test_rows_that_decide_together_stay_apart(world: World) -> None:
    world.line.decides_in_batches = True
    held_up(world)
    tickets = [world.engine.submit(asked(1.0)) for _ in range(3)]
    world.line.gate.set()
    for ticket in tickets:
        ticket.result(10)
    assert world.line.batches == [1, 1, 1, 1]


def test_one_bad_request_does_not_end_those_it_was_put_together_with(world: World) -> None:
    held_up(world)
    good, bad, other = (world.engine.submit(asked(value)) for value in (1.0, np.nan, 2.0))
    world.line.gate.set()
    assert good.result(10).rows is not None
    assert other.result(10).rows is not None
    with pytest.raises(ServingError, match="Row 1 has no x") as caught:
        bad.result(10)
    assert (caught.value.reason, caught.value.http) == ("bad-request", 400)


def test_a_fault_of_the_program_is_told_as_one_and_the_worker_lives(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.line.gate.set()
    monkeypatch.setattr(Line, "predict_proba", lambda *_: 1 / 0)
    with pytest.raises(ServingError, match="fault of the program") as caught:
        world.engine.infer(rows=frame(1.0), experts=["line"])
    assert caught.value.reason == "internal"
    monkeypatch.undo()
    assert world.engine.infer(rows=frame(1.0), experts=["line"]).rows is not None


def test_a_full_queue_says_when_to_ask_again(world: World) -> None:
    held_up(world)
    for _ in range(8):
        world.engine.submit(asked(1.0, client="greedy"))
    with pytest.raises(ServingError, match="8 requests wait") as caught:
        world.engine.submit(asked(1.0, client="greedy"))
    assert (caught.value.reason, caught.value.http) == ("overloaded", 429)
    assert caught.value.retry_after == 1.0  # nothing has ended yet
    ticket = world.engine.submit(asked(1.0, client="modest"))  # its client is not shut out by another
    world.line.gate.set()
    assert ticket.result(10).client == "modest"
    assert world.engine.stats().refused == {"overloaded": 2}


def test_a_client_that_leaves_is_not_answered(world: World) -> None:
    held_up(world)
    ticket = world.engine.submit(asked(1.0))
    ticket.cancel()
    with pytest.raises(ServingError, match="client left") as caught:
        ticket.result(0)
    assert (caught.value.reason, caught.value.http) == ("cancelled", 499)
    assert world.engine.stats().waiting == 0


def test_a_request_is_given_up_after_its_time(world: World) -> None:
    world.line.gate.set()
    held_up(world)
    ticket = world.engine.submit(asked(1.0, timeout=1e-9))
    with pytest.raises(ServingError, match="1e-09 s") as caught:
        ticket.result(10)
    assert caught.value.reason == "timeout"


def test_waiting_for_an_answer_may_end_while_the_request_goes_on(world: World) -> None:
    ticket = world.engine.submit(asked(1.0))
    with pytest.raises(TimeoutError, match="still on its way"):
        ticket.result(0.01)
    world.line.gate.set()
    assert ticket.result(10).rows is not None


def test_an_expert_uninstalled_in_the_middle(world: World) -> None:
    running = world.engine.submit(asked(0.0))
    while world.engine.stats().waiting:
        threading.Event().wait(0.001)
    waiting = world.engine.submit(asked(1.0))
    while "line" not in world.engine.stats().loaded:
        threading.Event().wait(0.001)
    world.installed.clear()
    with pytest.raises(ServingError, match="uninstalled") as caught:
        world.engine.submit(asked(1.0))
    assert (caught.value.reason, caught.value.http) == ("expert-gone", 410)
    world.line.gate.set()
    assert running.result(10).rows is not None
    try:
        waiting.result(10)
    except ServingError as error:  # it had not started: it may have joined the running call, or not
        assert error.reason == "expert-gone"
    assert world.engine.models() == []


def test_an_updated_expert_is_read_anew(world: World) -> None:
    world.line.gate.set()
    world.engine.infer(rows=frame(1.0), experts=["line"])
    world.installed["line"] = Entry("line", "rows", version="2.0.0", content="d" * 64, columns=("x",))
    rows = world.engine.infer(rows=frame(1.0), experts=["line"]).rows
    assert rows is not None
    assert (rows.audit.version, rows.audit.content) == ("2.0.0", "d" * 64)


@pytest.mark.parametrize(
    ("request_", "reason", "text"),
    [
        ({"experts": {"nobody": 1.0}}, "unknown-expert", "there is line"),
        ({"experts": {"line": 0.5}}, "undefined-composition", "not composed"),
        ({"experts": {"line": float("nan")}}, "bad-request", "finite"),
        ({"experts": {}}, "bad-request", "Rows need a row expert"),
        ({"experts": "lines"}, "bad-request", "'lines'"),
    ],
)
def test_what_cannot_be_answered_is_refused_before_it_waits(
    world: World, request_: dict[str, Any], reason: str, text: str
) -> None:
    with pytest.raises(ServingError, match=text) as caught:
        world.engine.infer(rows=frame(1.0), **request_)
    assert caught.value.reason == reason
    assert str(caught.value).endswith(f"[{reason}]")


def test_text_needs_a_base(world: World) -> None:
    with pytest.raises(ServingError) as caught:
        world.engine.infer("hello")
    assert caught.value.reason == "no-base"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "given: none"),
        ({"prompt": "a", "rows": pd.DataFrame({"x": [1]})}, "given: prompt, rows"),
        ({"messages": ()}, "no message"),
        ({"rows": pd.DataFrame({"x": []})}, "no row"),
        ({"prompt": "a", "timeout": 0.0}, "above 0"),
    ],
)
def test_a_request_is_about_one_thing(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ServingError, match=text):
        Request(**given)


def test_auto_takes_the_one_expert_whose_columns_the_rows_have(world: World) -> None:
    world.line.gate.set()
    answer = world.engine.infer(rows=frame(1.0))
    assert (answer.experts, answer.why) == ((("line", 1.0),), "the only row expert whose columns the rows have")
    with pytest.raises(ServingError, match="No row expert finds its columns"):
        world.engine.infer(rows=pd.DataFrame({"z": [1]}))
    world.installed["twin"] = Entry("twin", "rows", columns=("x",))
    with pytest.raises(ServingError, match="2 row experts read such rows"):
        world.engine.infer(rows=frame(1.0))


def test_closing_finishes_what_is_there_and_takes_nothing_new(world: World) -> None:
    tickets = [world.engine.submit(asked(float(number))) for number in range(4)]
    closer = threading.Thread(target=world.engine.close)
    closer.start()
    while True:
        try:
            tickets.append(world.engine.submit(asked(9.0)))
        except ServingError as error:
            assert error.reason in ("closing", "overloaded")
            if error.reason == "closing":
                break
    world.line.gate.set()
    closer.join(10)
    assert all(ticket.result(0).rows is not None for ticket in tickets)


def test_closing_without_patience_refuses_what_waits(world: World) -> None:
    held_up(world)
    ticket = world.engine.submit(asked(1.0))
    closer = threading.Thread(target=lambda: world.engine.close(drain=False))
    closer.start()
    with pytest.raises(ServingError) as caught:
        ticket.result(10)
    assert (caught.value.reason, caught.value.http) == ("closing", 503)
    world.line.gate.set()
    closer.join(10)
    assert not closer.is_alive()


def test_who_watches_sees_every_answer_and_cannot_fail_a_request() -> None:
    line, seen = Line(), list[str]()
    line.gate.set()

    def watch(answer: Answer) -> None:
        seen.append(answer.id)
        raise RuntimeError("the collector is down")

    with ExpertEngine(catalogue=lambda: {"line": ENTRY}, open_rows=lambda _: line, on_answer=watch) as engine:
        ids = [engine.infer(rows=frame(1.0), experts=["line"]).id for _ in range(3)]
    assert seen == ids
    assert engine.stats().telemetry_lost == 3


def test_a_listener_gets_the_end_whether_it_comes_before_or_after(world: World) -> None:
    early: list[object] = []
    late: list[object] = []
    ticket = world.engine.submit(asked(1.0))
    ticket.listen(early.append)
    world.line.gate.set()
    answer = ticket.result(10)
    ticket.listen(late.append)
    assert early == late == [answer]
    assert list(ticket) == []


def test_loading_pinning_and_unloading_are_told(world: World) -> None:
    world.engine.pin("line")
    (info,) = world.engine.models()
    assert (info.name, info.kind, info.loaded, info.pinned) == ("line", "rows", True, True)
    world.engine.unload("line")
    (info,) = world.engine.models()
    assert (info.loaded, info.pinned) == (False, False)
    with pytest.raises(ServingError) as caught:
        world.engine.load("nobody")
    assert caught.value.reason == "unknown-expert"


def test_an_expert_that_was_pinned_and_uninstalled_is_not_pinned_when_it_comes_back(world: World) -> None:
    world.engine.pin("line")
    world.installed.clear()
    while world.engine.stats().loaded:
        threading.Event().wait(0.001)
    world.installed["line"] = ENTRY
    (info,) = world.engine.models()
    assert (info.loaded, info.pinned) == (False, False)


def test_nobody_waits_for_an_expert_that_another_request_reads() -> None:
    reading, gate, line = threading.Event(), threading.Event(), Line()
    line.gate.set()

    def opened(name: str) -> Line:
        if name == "large":
            reading.set()
            assert gate.wait(10)
        return line

    there = {name: Entry(name, "rows", content=name, columns=("x",)) for name in ("line", "large")}
    with ExpertEngine(catalogue=lambda: there, open_rows=opened) as engine:
        loader = threading.Thread(target=engine.load, args=("large",))
        loader.start()
        assert reading.wait(10)
        told: list[tuple[str, ...]] = []
        others = [
            threading.Thread(target=lambda: told.append(engine.stats().loaded), daemon=True),
            threading.Thread(target=lambda: told.append(tuple(m.name for m in engine.models())), daemon=True),
        ]
        for other in others:
            other.start()
            other.join(5)
        assert sorted(told) == [(), ("large", "line")]
        assert engine.submit(Request(rows=frame(1.0), experts={"line": 1.0})).result(10).rows is not None
        gate.set()
        loader.join(10)
        assert set(engine.stats().loaded) == {"large", "line"}


def test_an_expert_is_read_once_for_two_who_ask_for_it() -> None:
    started, gate, reads = threading.Semaphore(0), threading.Event(), list[str]()

    def opened(name: str) -> Line:
        reads.append(name)
        assert gate.wait(10)
        return Line()

    with ExpertEngine(catalogue=lambda: {"line": ENTRY}, open_rows=opened) as engine:

        def load() -> None:
            started.release()
            engine.load("line")

        loaders = [threading.Thread(target=load) for _ in range(4)]
        for loader in loaders:
            loader.start()
        for _ in loaders:
            assert started.acquire(timeout=10)
        gate.set()
        for loader in loaders:
            loader.join(10)
        assert reads == ["line"]


def test_workers_outlive_a_list_of_experts_that_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    line, broken, looked = Line(), threading.Event(), threading.Semaphore(0)
    line.gate.set()

    def catalogue() -> Mapping[str, Entry]:
        if broken.is_set():
            looked.release()
            raise OSError("the disk is gone")
        return {"line": ENTRY}

    with ExpertEngine(catalogue=catalogue, open_rows=lambda _: line) as engine:
        broken.set()
        with pytest.raises(ServingError) as caught:
            engine.infer(rows=frame(1.0), experts=["line"])
        assert caught.value.reason == "internal"
        assert engine.stats().refused == {"internal": 1}
        assert looked.acquire(timeout=10) and looked.acquire(timeout=10)  # the request, and a worker
        broken.clear()
        assert engine.submit(asked(1.0)).result(10).rows is not None
    assert "the disk is gone" in caplog.text


def test_an_expert_that_cannot_be_read_is_told_to_whoever_loads_it() -> None:
    def opened(name: str) -> Line:
        raise ValueError(f"{name} is damaged; install it again.")

    with ExpertEngine(catalogue=lambda: {"line": ENTRY}, open_rows=opened) as engine:
        for ask in (engine.load, engine.row_model):
            with pytest.raises(ServingError, match="damaged; install it again") as caught:
                ask("line")
            assert caught.value.reason == "bad-request"


def test_a_fault_that_is_no_value_error_ends_only_the_request_that_has_it(world: World) -> None:
    held_up(world)
    good = world.engine.submit(asked(1.0))
    bad = world.engine.submit(Request(rows=pd.DataFrame({"x": ["much"], "y": 0}), experts={"line": 1.0}))
    worse = world.engine.submit(Request(rows=pd.DataFrame({"x": [{"a": 1}], "y": 0}), experts={"line": 1.0}))
    other = world.engine.submit(Request(rows=pd.DataFrame({"x": [3.0], "y": 0}, dtype=object), experts={"line": 1.0}))
    world.line.gate.set()
    assert good.result(10).rows is not None
    assert other.result(10).rows is not None
    for ticket, reason in ((bad, "bad-request"), (worse, "internal")):
        with pytest.raises(ServingError) as caught:
            ticket.result(10)
        assert caught.value.reason == reason


def test_what_is_installed_cannot_be_read_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """A damaged file of the registry must not end the workers: requests would wait forever after it is mended."""
    line, sound = Line(), threading.Event()
    line.gate.set()
    sound.set()

    def catalogue() -> dict[str, Entry]:
        if not sound.is_set():
            raise ValueError("installed.json is damaged")
        return {"line": ENTRY}

    opened: Callable[[str], Line] = {"line": line}.__getitem__
    with ExpertEngine(catalogue=catalogue, open_rows=opened) as engine:
        assert engine.infer(rows=frame(1.0), experts=["line"]).rows is not None
        sound.clear()
        while not caplog.records:
            threading.Event().wait(0.01)
        with pytest.raises(ServingError, match=r"installed\.json is damaged") as caught:
            engine.infer(rows=frame(1.0), experts=["line"])
        assert caught.value.reason == "internal"
        sound.set()
        assert engine.submit(asked(1.0)).result(10).rows is not None
    assert len(caplog.records) == 1


def test_a_model_that_is_being_read_holds_up_nobody_who_only_looks() -> None:
    line, reading, go = Line(), threading.Event(), threading.Event()
    line.gate.set()

    def opened(name: str) -> Line:
        reading.set()
        assert go.wait(10)
        return line

    with ExpertEngine(catalogue=lambda: {"line": ENTRY}, open_rows=opened) as engine:
        ticket = engine.submit(asked(1.0))
        assert reading.wait(10)
        looked = threading.Thread(target=lambda: (engine.stats(), engine.models()))
        looked.start()
        looked.join(5)
        waits = looked.is_alive()
        go.set()
        assert not waits
        assert ticket.result(10).rows is not None
