"""Tickets of the engine in an event loop: pieces and answers as they come, no thread a client.

A client that leaves takes its tickets with it: whatever ends the wait early cancels what it waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

from fastapi import Request as HttpRequest

from serving.answer import Answer
from serving.error import ServingError

if TYPE_CHECKING:
    from llm_experts.runtime.generator import Piece
    from serving.ticket import Ticket

T = TypeVar("T")
Event = tuple[int, "Piece | Answer"]


async def events(tickets: Sequence[Ticket]) -> AsyncGenerator[Event, None]:
    """Pieces and answers of tickets, each with its ticket's position, in the order in which they come.

    Raises
    ------
    ServingError
        Of the first ticket that has no answer; the others are cancelled.
    """
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[tuple[int, "Piece | Answer | ServingError"]]()
    try:
        for index, ticket in enumerate(tickets):
            ticket.listen(lambda event, index=index: _into(loop, queue, index, event))  # type: ignore[misc]
        open_ones = len(tickets)
        while open_ones:
            index, event = await queue.get()
            if isinstance(event, ServingError):
                raise event
            yield index, event
            open_ones -= isinstance(event, Answer)
    finally:
        for ticket in tickets:
            ticket.cancel()


def _into(
    loop: asyncio.AbstractEventLoop,
    queue: asyncio.Queue[tuple[int, Piece | Answer | ServingError]],
    index: int,
    event: Piece | Answer | ServingError,
) -> None:
    """Called by the engine's threads; a loop that is closed, perhaps just now, has no client left to tell."""
    try:
        loop.call_soon_threadsafe(queue.put_nowait, (index, event))
    except RuntimeError:
        if not loop.is_closed():
            raise


async def before_leaving(wanted: Awaitable[T], request: HttpRequest, tickets: Sequence[Ticket]) -> T:
    """What is awaited, unless the client leaves first: then the tickets are cancelled.

    Raises
    ------
    ServingError
        ``cancelled`` if it left; otherwise what ``wanted`` raises.
    """
    wait, left = asyncio.ensure_future(wanted), asyncio.create_task(_until_left(request))
    try:
        await asyncio.wait((wait, left), return_when=asyncio.FIRST_COMPLETED)
        if wait.done():
            return wait.result()
        raise ServingError("cancelled", "The client left before the answer was there.")
    finally:
        if not wait.done():
            for ticket in tickets:
                ticket.cancel()
        for task in (wait, left):
            task.cancel()
        await asyncio.gather(wait, left, return_exceptions=True)


async def answers(tickets: Sequence[Ticket], request: HttpRequest) -> list[Answer]:
    """The answers of all tickets, in their order.

    Raises
    ------
    ServingError
        As :func:`events`; ``cancelled`` once the client has left.
    """
    return await before_leaving(_all(tickets), request, tickets)


async def _all(tickets: Sequence[Ticket]) -> list[Answer]:
    async with aclosing(events(tickets)) as stream:
        found = {index: event async for index, event in stream if isinstance(event, Answer)}
    return [found[index] for index in range(len(tickets))]


async def _until_left(request: HttpRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
