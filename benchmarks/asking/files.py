"""A file of prompts or rows through the engine, many at once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.asking.prompts import asked_of
from benchmarks.asking.results import Results, error_of, record_of, rounded
from serving.error import ServingError
from serving.request import Experts, Request

if TYPE_CHECKING:
    import pandas as pd

    from llm_experts.runtime.sampling import Sampling
    from serving.engine import ExpertEngine
    from serving.ticket import Ticket

WINDOW = 64
"""Requests that are on their way at once: enough to fill every batch."""
Advance = Callable[[int], None]


def answer_prompts(
    engine: ExpertEngine,
    records: Sequence[Mapping[str, Any]],
    experts: Experts,
    sampling: Sampling,
    results: Results,
    advance: Advance,
    left_open: frozenset[str] = frozenset(),
) -> None:
    """Answer the lines that have no answer yet; a refused one says why, and the others go on.

    Parameters
    ----------
    engine : ExpertEngine
    records : sequence of mappings
        Lines of the file.
    experts : mapping, "auto" or None
        Of lines that name none.
    sampling : Sampling
    results : Results
        Opened.
    advance : callable
        Told how many lines were done.
    left_open : frozenset of str
        Settings that the packages of whoever answers decide.
    """
    waiting: deque[tuple[int, Ticket]] = deque()
    try:
        for row, record in enumerate(records):
            if row in results.done:
                continue
            try:
                asked = asked_of(record, experts, f"Line {row + 1} of the file")
                request = Request(asked.prompt, asked.messages, None, asked.experts, sampling, left_open=left_open)
                ticket = _submitted(engine, request)
            except ServingError as error:
                results.add([{"row": row, **error_of(error)}])
                advance(1)
                continue
            waiting.append((row, ticket))
            if len(waiting) >= WINDOW:
                _keep(*waiting.popleft(), results, advance)
        while waiting:
            _keep(*waiting.popleft(), results, advance)
    finally:
        for _, ticket in waiting:
            ticket.cancel()


def _keep(row: int, ticket: Ticket, results: Results, advance: Advance) -> None:
    try:
        told = record_of(ticket.result())
    except ServingError as error:
        told = error_of(error)
    results.add([{"row": row, **told}])
    advance(1)


def _submitted(engine: ExpertEngine, request: Request) -> Ticket:
    """Into the queue, when there is room."""
    while True:
        try:
            return engine.submit(request)
        except ServingError as error:
            if error.reason != "overloaded":
                raise
            time.sleep(error.retry_after or 1.0)


def answer_rows(
    engine: ExpertEngine, parts: Iterable[pd.DataFrame], expert: str, results: Results, advance: Advance
) -> None:
    """Predict the parts that have no answer yet.

    Parameters
    ----------
    engine : ExpertEngine
    parts : iterable of DataFrame
        The file, in parts that are the same in every run.
    expert : str
        A row expert.
    results : Results
        Opened.
    advance : callable
        Told how many rows were done.

    Raises
    ------
    ServingError
        If a part cannot be answered; what was answered before is kept.
    """
    start = 0
    for part in parts:
        numbers = range(start, start + len(part))
        start += len(part)
        if all(row in results.done for row in numbers):
            continue
        answer = _submitted(engine, Request(rows=part, experts={expert: 1.0})).result()
        rows = answer.rows
        assert rows is not None
        told = {"experts": {expert: 1.0}, "why": answer.why, "latency": rounded(answer.latency)}
        records = [
            {"row": row, "probability": probability, "decision": decision, **told}
            for row, probability, decision in zip(numbers, rows.probabilities, rows.decisions, strict=True)
        ]
        results.add(records, rows.audit.as_json())
        advance(len(part))
