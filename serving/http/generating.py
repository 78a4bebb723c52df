"""Texts over HTTP: requests become tickets of the engine, their pieces a stream or one answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response, StreamingResponse

from serving.answer import Answer
from serving.error import ServingError
from serving.http.answers import DONE, event, told
from serving.http.errors import serving_body
from serving.http.served import Served, served
from serving.http.waiting import Event, answers, before_leaving, events

if TYPE_CHECKING:
    from llm_experts.runtime.generator import Piece
    from llm_experts.runtime.sampling import Sampling
    from serving.http.wire import Generated
    from serving.request import Request
    from serving.ticket import Ticket

TICKET = "req-"
FINISHES = ("stop", "length")


class Form(Protocol):
    """How one of OpenAI's two ways of asking for text writes its choices."""

    prefix: str
    whole_object: str
    chunk_object: str

    def whole(self, answer: Answer) -> dict[str, Any]:
        """A choice that is complete, without index and finish_reason."""

    def first(self) -> dict[str, Any] | None:
        """What a stream says before the first piece."""

    def piece(self, index: int, piece: Piece) -> dict[str, Any]:
        """What a stream says for a piece."""

    def last(self) -> dict[str, Any]:
        """What a stream says with the finish_reason."""


def sampling(wire: Generated, asked: int | None, otherwise: int, logprobs: int | None, most: int) -> Sampling:
    """The engine's settings; what is left out is OpenAI's default (temperature 1), unless a package says otherwise.

    Parameters
    ----------
    wire : Generated
    asked, otherwise : int
        Tokens of the answer that the request wants, and those without a wish.
    logprobs : int or None
        Likeliest tokens to tell of.
    most : int
        Tokens that the server allows.

    Raises
    ------
    ServingError
        ``bad-request``: more tokens than allowed.
    """
    from llm_experts.runtime.sampling import Sampling

    if asked is not None and asked > most:
        raise ServingError(
            "bad-request",
            f"max_tokens is {asked}, and this server's answers have at most {most} tokens; ask for fewer.",
        )
    return Sampling(
        max_new_tokens=min(otherwise, most) if asked is None else asked,
        temperature=_or(wire.temperature, 1.0),
        top_p=_or(wire.top_p, 1.0),
        top_k=wire.top_k or 0,
        repetition_penalty=_or(wire.repetition_penalty, 1.0),
        presence_penalty=_or(wire.presence_penalty, 0.0),
        frequency_penalty=_or(wire.frequency_penalty, 0.0),
        stop=wire.stops,
        seed=wire.seed,
        logprobs=logprobs,
    )


def left_open(wire: Generated, asked: int | None) -> frozenset[str]:
    """Settings that a request does not mention, so that packages of experts decide."""
    given = {
        "temperature": wire.temperature, "top_p": wire.top_p, "top_k": wire.top_k, "stop": wire.stop,
        "max_new_tokens": asked,
    }  # fmt: skip
    return frozenset(name for name, value in given.items() if value is None)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def choices_of(wire: Generated, here: Served) -> int:
    """How many answers to each prompt, and that its priority is allowed."""
    most, highest = here.settings.max_choices, here.settings.max_priority
    if (wire.n or 1) > most:
        raise ServingError("bad-request", f"n is {wire.n}; this server gives at most {most} answers to a prompt.")
    if wire.priority > highest:
        raise ServingError(
            "bad-request", f"priority is {wire.priority}; the highest that this server takes is {highest}."
        )
    return wire.n or 1


def seeded(how: Sampling, choice: int) -> Sampling:
    """The settings of one of several answers: a seed of its own, the next one, where there is a seed."""
    return how if how.seed is None else replace(how, seed=how.seed + choice)


async def respond(http: HttpRequest, wire: Generated, asked: Sequence[Request], form: Form) -> Response:
    """Ask the engine all requests of one call, and answer in the form that it wants."""
    here = served(http)
    tickets = _submitted(here, asked)
    head = {
        "id": f"{form.prefix}-{tickets[0].id.removeprefix(TICKET)}",
        "object": form.chunk_object if wire.stream else form.whole_object,
        "created": int(time.time()),
        "model": wire.model,
    }
    if wire.stream:
        stream = events(tickets)
        first = await before_leaving(anext(stream), http, tickets)
        body = _stream(here, head, form, _from(first, stream), wire)
        return StreamingResponse(body, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
    found = await answers(tickets, http)
    for answer in found:
        here.metrics.answer(answer)
    choices = [_choice(index, form.whole(answer), answer) for index, answer in enumerate(found)]
    return JSONResponse({**head, "choices": choices, "usage": _usage(found, wire), "fairmoe": told(found[0])})


def _submitted(here: Served, asked: Sequence[Request]) -> list[Ticket]:
    """Tickets of all requests; if one is refused, none stays."""
    tickets: list[Ticket] = []
    try:
        tickets.extend(here.engine.submit(request) for request in asked)
    except ServingError:
        for ticket in tickets:
            ticket.cancel()
        raise
    return tickets


def _choice(index: int, said: dict[str, Any], answer: Answer) -> dict[str, Any]:
    return {"index": index, **said, "finish_reason": answer.finish if answer.finish in FINISHES else "stop"}


def _usage(found: Sequence[Answer], wire: Generated) -> dict[str, int]:
    """A prompt counts once, however many answers it has."""
    prompt = sum(answer.usage.prompt_tokens for answer in found[:: wire.n or 1])
    completion = sum(answer.usage.completion_tokens for answer in found)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


async def _from(first: Event, rest: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    async with aclosing(rest):
        yield first
        async for found in rest:
            yield found


async def _stream(
    here: Served, head: dict[str, Any], form: Form, stream: AsyncGenerator[Event, None], wire: Generated
) -> AsyncGenerator[bytes, None]:
    """Server-sent events. An error after the first piece is an event of its own: the status is sent by then."""
    extra: dict[str, Any] = {"usage": None} if wire.wants_usage else {}
    begun: set[int] = set()
    found: dict[int, Answer] = {}
    try:
        async with aclosing(stream):
            async for index, what in stream:
                for choice, more in _said(form, index, what, begun):
                    yield event({**head, "choices": [choice], **extra, **more})
                if isinstance(what, Answer):
                    here.metrics.answer(what)
                    found[index] = what
        if wire.wants_usage:
            yield event({**head, "choices": [], "usage": _usage([found[i] for i in sorted(found)], wire)})
        yield DONE
    except ServingError as error:
        here.metrics.error(error.reason)
        yield event(serving_body(error, here.plain))
    except asyncio.CancelledError:
        here.metrics.error("cancelled")
        raise


def _said(form: Form, index: int, what: Piece | Answer, begun: set[int]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Choices of a stream for one event of the engine, and what stands beside each."""
    said: list[tuple[dict[str, Any], dict[str, Any]]] = []
    first = form.first()
    if index not in begun and first is not None:
        said.append(({"index": index, **first, "finish_reason": None}, {}))
    begun.add(index)
    if isinstance(what, Answer):
        said.append((_choice(index, form.last(), what), {"fairmoe": told(what)}))
    elif what.text or what.logprobs:
        said.append(({"index": index, **form.piece(index, what), "finish_reason": None}, {}))
    return said
