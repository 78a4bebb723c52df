"""The worker for rows: requests about one expert are put into one call, and each gets its own part and record."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from serving.answer import Answer, RowAnswer
from serving.request import ROWS
from serving.work.auditing import audited
from serving.work.choice import Choice, Names, named, of_columns
from serving.work.refusal import Explain, refusal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from serving.row_model import RowModel
    from serving.ticket import Ticket
    from serving.work.desk import Desk
    from serving.work.fair_queue import FairQueue
    from serving.work.row_models import RowModels

THRESHOLD = 0.5
"""Of every row model: decision layers move probabilities so that one half decides."""


class RowWorker:
    """Answers the lane ``rows`` of the queue.

    Parameters
    ----------
    queue : FairQueue of Ticket
    models : RowModels
    names : Names
    desk : Desk
    max_batch : int
        Rows of a call at most, unless one request alone has more.
    explain : Explain
    """

    def __init__(
        self,
        queue: FairQueue[Ticket],
        models: RowModels,
        names: Names,
        desk: Desk,
        max_batch: int,
        explain: Explain,
    ) -> None:
        self._queue, self._models, self._names, self._desk = queue, models, names, desk
        self._max_batch, self._explain = max_batch, explain

    def turn(self, timeout: float) -> bool:
        """Answer the next request, and those that go with it; False if none came."""
        ticket = self._queue.take(ROWS, timeout)
        if ticket is None:
            return False
        started = time.monotonic()
        batch = [ticket]
        try:
            choice = named(ticket.request, self._names) or of_columns(ticket.request, self._names)
            model = self._models.get(choice.entries[0])
            loaded = time.monotonic()
            batch += self._joining(ticket, model)
            self._answer(batch, choice, model, started, loaded)
        except Exception as error:  # noqa: BLE001 (a worker outlives every request)
            for each in batch:
                self._desk.end(each, refusal(error, self._explain))
        return True

    def _joining(self, first: Ticket, model: RowModel) -> list[Ticket]:
        """Waiting requests about the same expert whose rows have the very same columns and types."""
        if model.decides_in_batches or first.cancelled:
            return []
        asked, types = first.request.experts, _types(first)
        room = self._max_batch - _count(first)

        def joins(other: Ticket) -> bool:
            nonlocal room
            if other.request.rows is None or other.request.experts != asked or _types(other) != types:
                return False
            if _count(other) > room:
                return False
            room -= _count(other)
            return True

        return self._queue.take_all(joins)

    def _answer(self, batch: list[Ticket], choice: Choice, model: RowModel, started: float, loaded: float) -> None:
        alive = [ticket for ticket in batch if not self._desk.given_up(ticket)]
        if not alive:
            return
        try:
            found = _predicted([_rows(ticket) for ticket in alive], model)
        except Exception:  # whatever it is: told to the one at fault, the others are still to be answered
            if len(alive) == 1:
                raise
            for ticket in alive:  # one of them is wrong: each is told for itself
                self._alone(ticket, choice, model, started, loaded)
            return
        for ticket, probabilities in zip(alive, found, strict=True):
            self._tell(ticket, choice, model, probabilities, (started, loaded))

    def _alone(self, ticket: Ticket, choice: Choice, model: RowModel, started: float, loaded: float) -> None:
        try:
            self._answer([ticket], choice, model, started, loaded)
        except Exception as error:  # noqa: BLE001 (told to its client; the others are still to be answered)
            self._desk.end(ticket, refusal(error, self._explain))

    def _tell(
        self,
        ticket: Ticket,
        choice: Choice,
        model: RowModel,
        probabilities: npt.NDArray[np.float64],
        times: tuple[float, float],
    ) -> None:
        started, loaded = times
        frame = _rows(ticket)
        decisions = tuple(int(value > THRESHOLD) for value in probabilities.tolist())
        rows = RowAnswer(
            tuple(probabilities.tolist()), decisions, (THRESHOLD,) * len(frame), model.needs_group,
            audited(ticket.id, frame, choice.entries[0], model),
        )  # fmt: skip
        now = time.monotonic()
        latency = {
            "queue": started - ticket.made, "route": 0.0, "load": loaded - started, "prefill": 0.0,
            "decode": now - loaded, "total": now - ticket.made,
        }  # fmt: skip
        client = ticket.request.client
        answer = Answer(ticket.id, None, rows, choice.experts, choice.why, latency=latency, client=client)
        self._desk.end(ticket, answer)


def _predicted(frames: list[pd.DataFrame], model: RowModel) -> list[npt.NDArray[np.float64]]:
    """[r] probability of class 1 for each of several frames."""
    import numpy as np
    import pandas as pd

    whole = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    found = model.predict_proba(whole)[:, 1]
    return np.split(found, np.cumsum([len(frame) for frame in frames])[:-1])


def _rows(ticket: Ticket) -> pd.DataFrame:
    assert ticket.request.rows is not None
    return ticket.request.rows


def _count(ticket: Ticket) -> int:
    return len(_rows(ticket))


def _types(ticket: Ticket) -> list[tuple[str, str]]:
    return [(str(name), str(kind)) for name, kind in _rows(ticket).dtypes.items()]
