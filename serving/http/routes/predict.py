"""``/predict`` and ``/feedback``: rows in, probabilities, decisions and an audit record out; what came of answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anyio
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from serving.error import ServingError
from serving.http.answers import told
from serving.http.errors import shortened
from serving.http.generating import TICKET
from serving.http.served import client, served
from serving.http.waiting import answers
from serving.http.wire import FeedbackRequest, PredictRequest
from serving.naming import experts_of
from serving.request import Request as Asked

if TYPE_CHECKING:
    import pandas as pd

    from serving.answer import Answer

router = APIRouter(tags=["Rows"])
PREFIX = "pred"
AT_ONCE = 500
"""Rows, and columns, that become a table without leaving the event loop."""


@router.post("/predict")
async def predict(request: Request, wire: PredictRequest) -> Response:
    """Predict rows with an expert for rows. The audit record names expert, package, columns and hashes of the rows."""
    here = served(request)
    limits = here.settings
    if wire.count > limits.max_rows:
        raise ServingError(
            "bad-request",
            f"There are {wire.count:,} rows; this server takes {limits.max_rows:,} in a request. Send parts.",
        )
    if max(wire.count, wire.width) <= AT_ONCE:
        frame = _frame(wire)
    else:
        frame = await anyio.to_thread.run_sync(_frame, wire)
    asked = Asked(
        rows=frame, experts=experts_of(wire.model, None, here.base), priority=wire.priority, client=client(request),
        timeout=limits.request_seconds,
    )  # fmt: skip
    [answer] = await answers([here.engine.submit(asked)], request)
    here.metrics.answer(answer)
    return JSONResponse(_prediction(answer, wire.model))


def _frame(wire: PredictRequest) -> pd.DataFrame:
    """The rows as a table; a record without one of the columns is refused, as an absent cell may be an oversight."""
    import pandas as pd

    if wire.columns is not None:
        return pd.DataFrame(wire.columns)
    rows = wire.rows or []
    names = dict.fromkeys(name for row in rows for name in row)
    for number, row in enumerate(rows, 1):
        if len(row) < len(names):
            absent = next(name for name in names if name not in row)
            raise ServingError(
                "bad-request",
                f"Row {number} has no {shortened(absent)!r}, which other rows have; send null where unknown.",
            )
    return pd.DataFrame({name: [row[name] for row in rows] for name in names})


def _prediction(answer: Answer, model: str) -> dict[str, Any]:
    found = answer.rows
    assert found is not None
    return {
        "id": f"{PREFIX}-{answer.id.removeprefix(TICKET)}",
        "object": "prediction",
        "created": int(time.time()),
        "model": model,
        "probabilities": found.probabilities,
        "decisions": found.decisions,
        "thresholds": found.thresholds,
        "needs_group": found.needs_group,
        "audit": found.audit.as_json(),
        "fairmoe": told(answer),
    }


@router.post("/feedback")
async def feedback(request: Request, wire: FeedbackRequest) -> dict[str, Any]:
    """Say whether the experts that the router chose for an answer were the right ones; it learns from that."""
    served(request).engine.feedback(TICKET + wire.id.rpartition("-")[2], wire.won)
    return {"object": "feedback", "id": wire.id, "won": wire.won}
