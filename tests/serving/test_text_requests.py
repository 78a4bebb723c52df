"""Requests about text: each its own experts in one batch, streamed, routed, given up, refused, outliving experts."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from artefacts.format.manifest import Decoding
from llm_experts.adapters.store import read_adapter, save_adapter
from llm_experts.bases.base import Base
from llm_experts.data.example import Message
from llm_experts.runtime.composition import Composition
from llm_experts.runtime.generator import Generation, Generator, encode_prompt
from llm_experts.runtime.resident import ResidentBase
from llm_experts.runtime.sampling import Sampling
from serving.answer import Answer
from serving.catalogue import Entry
from serving.engine import EngineSettings, ExpertEngine
from serving.error import ServingError
from serving.request import DECODING, Request
from serving.router import ExpertProfile, Router
from serving.work.choice import Choice
from serving.work.settings import settings_of
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.expert_fixtures import make_adapter

KINDS = {"law": "lora", "med": "svf", "art": "dora"}
LONG = Sampling(max_new_tokens=900, ignore_eos=True)
SHORT = Sampling(max_new_tokens=6, ignore_eos=True)
PROMPTS = ("The applicant's age is", "Question: Is the applicant", "The savings are")


@cache
def base() -> Base:
    return make_tiny_base(layers=2, hidden=32)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Entry]:
    folder = tmp_path_factory.mktemp("experts")
    for seed, (name, kind) in enumerate(KINDS.items()):
        adapter = make_adapter(kind, seed=seed, start=0, base=base(), size=0.3)
        save_adapter(folder / name, base(), adapter.config, adapter.state)
    return {name: Entry(name, "adapter", source=folder / name, base=base().hash, content=name) for name in KINDS}


@dataclass
class World:
    installed: dict[str, Entry]
    engine: ExpertEngine
    router: Router


@pytest.fixture
def world(shelf: dict[str, Entry]) -> Iterator[World]:
    installed = dict(shelf)
    router = Router.of([ExpertProfile("law", keywords=("contract",)), ExpertProfile("med", keywords=("fever",))])
    resident = ResidentBase(base(), slots=2, rank=32)
    settings = EngineSettings(max_rows=4, max_waiting=16, max_tokens=8192)
    with ExpertEngine(resident, catalogue=lambda: dict(installed), router=router, settings=settings) as engine:
        yield World(installed, engine, router)
        for ticket in engine._desk.open():
            ticket.cancel()


def test_packages_decide_what_a_request_leaves_open(world: World) -> None:
    told = {"law": Decoding(max_new_tokens=3, temperature=0.0), "med": Decoding(max_new_tokens=5, top_k=1)}
    for name, decoding in told.items():
        world.installed[name] = replace(world.installed[name], decoding=decoding)
    infer = world.engine.infer

    def tokens(**experts: float) -> int:
        return infer("A", experts=experts).usage.completion_tokens

    assert (tokens(law=1.0), tokens(med=1.0)) == (3, 5)
    assert (tokens(law=0.4, med=0.6), tokens(law=0.6, med=0.4)) == (5, 3)
    assert tokens(law=0.0, med=-1.0) == 5
    assert infer("A contract", experts="auto").usage.completion_tokens == 3
    assert infer("A", experts={"law": 1.0}, sampling=SHORT).usage.completion_tokens == 6  # asked for: counts
    open_ = Request("A", experts={"med": 1.0}, left_open=frozenset({"max_new_tokens"}), longest=4)
    assert world.engine.submit(open_).result().usage.completion_tokens == 4
    with pytest.raises(ServingError, match="no setting 'seed'"):
        Request("A", left_open=frozenset({"seed"}))


def test_what_is_open_is_of_the_weightiest_and_stops_are_of_all() -> None:
    law = Entry("law", "adapter", decoding=Decoding(temperature=0.5, stop=("a", "b")))
    med = Entry("med", "adapter", decoding=Decoding(temperature=0.7, top_p=0.8, stop=("b", "c")))
    asked = Request("?", sampling=Sampling(top_k=3), left_open=DECODING - {"top_k"})
    found = settings_of(asked, Choice((med, law), (0.2, 0.8), ""))
    assert found == Sampling(temperature=0.5, top_p=0.8, top_k=3, stop=("a", "b", "c"))
    assert settings_of(Request("?"), Choice((med, law), (0.2, 0.8), "")) == Sampling()


def alone(shelf: dict[str, Entry], prompt: str, experts: dict[str, float]) -> str:
    """The same request on a generator of its own."""
    resident = ResidentBase(base(), slots=3, rank=32)
    for name in experts:
        source = shelf[name].source
        assert source is not None
        resident.known(name, source)
    generator = Generator(resident)
    generator.add(Generation("x", tuple(encode_prompt(resident.base, prompt)), Composition.of(experts), SHORT))
    pieces = []
    while not generator.idle:
        pieces += generator.step()
    return "".join(piece.text for piece in pieces)


def started(world: World, experts: Any = None, sampling: Sampling = LONG) -> Any:
    """A long request that is running: it has said something."""
    ticket = world.engine.submit(Request(prompt=PROMPTS[0], experts=experts, sampling=sampling))
    assert next(iter(ticket)) is not None
    return ticket


def reason(ticket: Any) -> str:
    with pytest.raises(ServingError) as caught:
        ticket.result(20)
    return caught.value.reason


def test_requests_of_different_experts_share_a_batch_and_answer_as_if_alone(
    world: World, shelf: dict[str, Entry]
) -> None:
    asked: list[tuple[str, dict[str, float]]] = [
        (PROMPTS[0], {}), (PROMPTS[1], {"law": 1.0}), (PROMPTS[2], {"med": 0.5, "law": 0.7}),
        (PROMPTS[0], {"art": 1.0}), (PROMPTS[0], {"law": 1.0, "med": 1.0}),
    ]  # fmt: skip
    tickets = [
        world.engine.submit(Request(prompt=prompt, experts=experts, sampling=SHORT)) for prompt, experts in asked
    ]
    for ticket, (prompt, experts) in zip(tickets, asked, strict=True):
        answer = ticket.result(30)
        assert answer.text == alone(shelf, prompt, experts)
        assert dict(answer.experts) == experts
        assert (answer.finish, answer.usage.completion_tokens) == ("length", 6)
        assert answer.usage.prompt_tokens == len(encode_prompt(base(), prompt))
    assert len({ticket.result().text for ticket in tickets}) > 1
    assert set(answer.latency) == {"queue", "route", "load", "prefill", "decode", "total"}
    assert sum(seconds for phase, seconds in answer.latency.items() if phase != "total") <= answer.latency["total"]


def test_pieces_come_as_they_are_said_and_make_the_text(world: World) -> None:
    ticket = world.engine.submit(Request(prompt=PROMPTS[0], sampling=SHORT))
    pieces = list(ticket)
    assert "".join(piece.text for piece in pieces) == ticket.result().text
    assert [piece.finish for piece in pieces][-1] == "length"
    assert len(pieces) > 1


def test_messages_go_through_the_chat_template(world: World) -> None:
    messages = [{"role": "user", "content": "yes?"}]
    answer = world.engine.infer(messages=messages, experts=None, sampling=SHORT)
    assert answer.usage.prompt_tokens == len(encode_prompt(base(), "User: yes?\nAssistant:"))
    with pytest.raises(ServingError, match="role and content"):
        world.engine.infer(messages=[{"text": "?"}])
    with pytest.raises(ServingError, match="no role 'boss'"):
        world.engine.infer(messages=[Message("boss", "?")])


def test_the_router_chooses_and_says_why_and_learns(world: World) -> None:
    answer = world.engine.infer("Please read this contract.", sampling=SHORT)
    assert [name for name, _ in answer.experts] == ["law"]
    assert answer.route is not None
    assert "contract" in answer.why
    before = dict(world.router.outcomes.counts)
    world.engine.feedback(answer.id, won=True)
    assert world.router.outcomes.counts != before
    plain = world.engine.infer("Hello.", sampling=SHORT)
    assert plain.experts == ()
    named = world.engine.infer("Hello.", experts=None, sampling=SHORT)
    with pytest.raises(ServingError, match="routed answer"):
        world.engine.feedback(named.id, won=True)


def test_a_client_that_leaves_frees_its_row_and_the_others_go_on(world: World, shelf: dict[str, Entry]) -> None:
    leaving = [started(world, {"law": 1.0}) for _ in range(4)]
    ticket = world.engine.submit(Request(prompt=PROMPTS[1], experts={"med": 1.0}, sampling=SHORT))
    for each in leaving:
        each.cancel()
        assert reason(each) == "cancelled"
    assert ticket.result(20).text == alone(shelf, PROMPTS[1], {"med": 1.0})
    world.engine.close()
    assert world.engine.stats().running == 0
    assert world.engine._text is not None
    assert world.engine._text.running == {}


def test_a_request_is_given_up_after_its_time_while_it_runs(world: World) -> None:
    ticket = world.engine.submit(Request(prompt=PROMPTS[0], sampling=LONG, timeout=0.2))
    assert reason(ticket) == "timeout"


def test_an_expert_uninstalled_in_the_middle_finishes_what_runs(world: World) -> None:
    running = started(world, {"law": 1.0}, sampling=Sampling(max_new_tokens=150, ignore_eos=True))
    del world.installed["law"]
    with pytest.raises(ServingError) as caught:
        world.engine.submit(Request(prompt=PROMPTS[0], experts={"law": 1.0}))
    assert caught.value.reason == "expert-gone"
    assert running.result(60).usage.completion_tokens == 150
    while "law" in world.engine.stats().loaded:
        threading.Event().wait(0.01)
    assert "law" not in [info.name for info in world.engine.models()]


def test_an_expert_that_goes_while_a_request_waits(world: World) -> None:
    fillers = [started(world) for _ in range(4)]
    ticket = world.engine.submit(Request(prompt=PROMPTS[0], experts={"law": 1.0}, sampling=SHORT))
    del world.installed["law"]
    for filler in fillers:
        filler.cancel()
    assert reason(ticket) == "expert-gone"


def test_more_experts_than_slots_wait_for_each_other_and_too_many_at_once_are_refused(
    world: World, shelf: dict[str, Entry]
) -> None:
    holding = started(world, {"law": 1.0, "med": 1.0})
    waiting = world.engine.submit(Request(prompt=PROMPTS[0], experts={"art": 1.0}, sampling=SHORT))
    with pytest.raises(TimeoutError):
        waiting.result(0.1)
    holding.cancel()
    assert waiting.result(20).text == alone(shelf, PROMPTS[0], {"art": 1.0})
    many = world.engine.submit(Request(prompt=PROMPTS[0], experts={"law": 1.0, "med": 1.0, "art": 1.0}))
    assert reason(many) == "undefined-composition"


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        ({"prompt": "yes " * 2000}, "too-long"),
        ({"prompt": "yes", "experts": {"nobody": 1.0}}, "unknown-expert"),
        ({"prompt": "yes", "experts": {"law": 1e9}}, "undefined-composition"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_its_reason(
    world: World, request_: dict[str, Any], wanted: str
) -> None:
    with pytest.raises(ServingError) as caught:
        world.engine.infer(**{"experts": None, **request_})
    assert caught.value.reason == wanted


def test_a_step_that_fails_ends_what_ran_and_nothing_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = started(world)
    monkeypatch.setattr(Generator, "step", lambda _: 1 / 0)
    assert reason(first) == "internal"
    monkeypatch.undo()
    assert world.engine.infer(PROMPTS[0], experts=None, sampling=SHORT).finish == "length"


def test_the_same_seed_says_the_same_in_any_company(world: World) -> None:
    drawn = Sampling(max_new_tokens=8, temperature=1.0, seed=3, ignore_eos=True, logprobs=1)
    quiet = world.engine.infer(PROMPTS[0], experts=["law"], sampling=drawn)
    others = [started(world) for _ in range(3)]
    busy = world.engine.infer(PROMPTS[0], experts=["law"], sampling=drawn)
    for other in others:
        other.cancel()
    assert quiet.text == busy.text
    assert len(quiet.logprobs) == 8


def test_pinned_experts_stay_and_others_make_room(world: World) -> None:
    world.engine.pin("law")
    for name in ("med", "art"):
        world.engine.infer(PROMPTS[0], experts=[name], sampling=SHORT)
    told = {info.name: info for info in world.engine.models()}
    assert [info.kind for info in told.values()][:2] == ["base", "auto"]
    assert told["law"].loaded
    assert told["law"].pinned
    assert not told["med"].loaded
    world.engine.unload("law")
    assert "law" not in world.engine.stats().loaded


def test_closing_finishes_texts_that_run_or_refuses_them(world: World) -> None:
    ticket = started(world)
    waiting = [world.engine.submit(Request(prompt=PROMPTS[0], sampling=LONG)) for _ in range(5)]
    world.engine.close(drain=False)
    assert {reason(each) for each in [ticket, *waiting]} == {"closing"}


def test_an_adapter_of_another_base_is_not_offered_and_told_when_asked(world: World) -> None:
    entry = world.installed["law"]
    world.installed["law"] = Entry("law", "adapter", source=entry.source, base="f" * 64)
    assert "law" not in [info.name for info in world.engine.models()]
    with pytest.raises(ServingError, match=f"'law' was trained on another base than {base().id}") as caught:
        world.engine.infer("?", experts=["law"])
    assert caught.value.reason == "bad-request"
    with pytest.raises(ServingError, match="another base"):
        world.engine.load("law")


def test_a_text_expert_on_rows_of_another_base_answers_rows_alone(world: World) -> None:
    entry = world.installed["law"]
    world.installed["law"] = Entry("law", "adapter", source=entry.source, base="f" * 64, rows=True)
    (info,) = [info for info in world.engine.models() if info.name == "law"]
    assert (info.kind, info.base) == ("rows", "")
    with pytest.raises(ServingError, match="another base"):
        world.engine.check_text({"law": 1.0})


def test_who_answers_text_is_told_before_anything_is_asked(world: World) -> None:
    world.installed["trees"] = Entry("trees", "rows")
    for name, text in (("nobody", "there is art, law, med, trees"), ("trees", "answers rows, not text")):
        with pytest.raises(ServingError, match=text):
            world.engine.check_text({"law": 0.5, name: 0.5})
    world.engine.check_text({"law": 0.5, "med": 0.5})
    world.engine.check_text("auto")
    world.engine.check_text(None)
    assert not world.engine.stats().refused


def test_a_faulty_package_is_told(world: World) -> None:
    world.installed["law"] = Entry("law", "adapter", fault="law was revoked; uninstall it.")
    with pytest.raises(ServingError, match="revoked"):
        world.engine.infer("?", experts=["law"])


def test_an_answer_is_seen_by_who_watches(shelf: dict[str, Entry]) -> None:
    seen: list[Answer] = []
    resident = ResidentBase(base(), slots=2, rank=32)
    with ExpertEngine(resident, catalogue=lambda: shelf, on_answer=seen.append) as engine:
        answer = engine.infer(PROMPTS[0], experts=["med"], sampling=SHORT, client="me")
    assert seen == [answer]
    assert answer.client == "me"


@pytest.mark.parametrize("part", ["a ", "a", " ", "😀", "applicant "])
def test_a_prompt_of_millions_of_characters_is_refused_by_its_beginning(
    world: World, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    tokenizer: Any = base().tokenizer
    longest, encode = 0, type(tokenizer)._encode_plus

    def measured(self: Any, text: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal longest
        longest = max(longest, len(text))
        return encode(self, text, *args, **kwargs)

    monkeypatch.setattr(type(tokenizer), "_encode_plus", measured)
    text = part * (2_000_000 // len(part))
    for asked in ({"prompt": text}, {"messages": (Message("system", text), Message("user", "Hi"))}):
        assert reason(world.engine.submit(Request(experts="auto", **asked))) == "too-long"
    assert 0 < longest < 500_000


def test_weights_that_overflow_are_told_to_whoever_gave_them(world: World, shelf: dict[str, Entry]) -> None:
    """The message says what to do, so it is no fault of the program."""
    saved = read_adapter(shelf["law"].source)
    folder = shelf["law"].source.with_name("large")
    save_adapter(folder, base(), saved.config, {name: 1e25 * value for name, value in saved.state.items()})
    world.installed["large"] = replace(shelf["law"], name="large", source=folder, content="large")
    with pytest.raises(ServingError, match="smaller weights") as caught:
        world.engine.infer(PROMPTS[0], experts={"large": 1.0}, sampling=SHORT)
    assert caught.value.reason == "undefined-composition"


def test_an_answer_is_not_kept_for_its_feedback(world: World) -> None:
    """Its experts are: ten thousand answers with log-probabilities and rows would take gigabytes."""
    answer = world.engine.infer("a contract", sampling=replace(SHORT, logprobs=5))
    id, kept = answer.id, weakref.ref(answer)
    del answer
    for _ in range(200):
        gc.collect()
        if kept() is None:
            break
        threading.Event().wait(0.01)
    assert kept() is None
    world.engine.feedback(id, True)
    assert dict(world.router.outcomes.counts) == {"law": (1, 0)}


def test_feedback_on_an_answer_counts_once(world: World) -> None:
    answer = world.engine.infer("a contract", sampling=SHORT)
    world.engine.feedback(answer.id, True)
    with pytest.raises(ServingError, match="once"):
        world.engine.feedback(answer.id, True)
    assert dict(world.router.outcomes.counts) == {"law": (1, 0)}


def test_an_expert_that_is_loaded_ahead_is_the_one_that_requests_name(world: World) -> None:
    """With its place in the order of virtual tokens, which its package tells: it is not read again."""
    world.installed["law"] = replace(world.installed["law"], order=3)
    world.engine.load("law")
    resident = world.engine._resident
    assert resident is not None
    world.engine.infer(PROMPTS[0], experts={"law": 1.0}, sampling=SHORT)
    assert resident.stats.loads == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": 3}, {"prompt": b"a"}, {"prompt": ["a", "b"]}, {"prompt": "\ud800"}, {"priority": "high"},
        {"priority": float("nan")}, {"priority": True}, {"client": []}, {"sampling": {"temperature": 1}},
        {"timeout": "3"}, {"prompt": None, "messages": (Message("user", 3),)},  # type: ignore[arg-type]
        {"prompt": None, "rows": [{"x": 1}]},
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_refused_before_it_is_taken(world: World, wrong: dict[str, Any]) -> None:
    """Such a request stood in the books for ever, so that closing waited for it, or held up the queue for all."""
    with pytest.raises(ServingError) as caught:
        world.engine.submit(Request(**{"prompt": "a", **wrong}))
    assert caught.value.reason == "bad-request"
    assert world.engine.stats().running == 0


def test_an_expert_uninstalled_between_its_lease_and_the_batch_is_told_as_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = world.engine._resident
    assert resident is not None
    lease = resident.lease

    def late(compositions: Any) -> Any:
        resident.forget("law")  # as the look at what is installed does, on another thread
        return lease(compositions)

    monkeypatch.setattr(resident, "lease", late)
    with pytest.raises(ServingError) as caught:
        world.engine.infer(PROMPTS[0], experts={"law": 1.0}, sampling=SHORT)
    assert caught.value.reason == "expert-gone"
