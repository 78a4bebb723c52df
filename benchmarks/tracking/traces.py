"""Answers of an engine as traces in the MLflow store: a span for the request, one for each of its phases."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.tracking.mlflow_store import Tracker, TrackingError, open_tracker
from serving.telemetry import attributes, times

if TYPE_CHECKING:
    from mlflow.entities import LiveSpan

    from serving.answer import Answer

SETTINGS = {
    "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",  # who calls has a thread for it, and bounds what waits
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_ENABLE_OTLP_EXPORTER": "false",  # to the store, whatever OTEL_EXPORTER_OTLP_TRACES_ENDPOINT says
}
ADVICE = "Start the server (or unset MLFLOW_TRACKING_URI, or give another FAIRMOE_HOME), or serve without --telemetry."


@contextmanager
def traces() -> Iterator[Callable[[Answer], None]]:
    """What an engine takes as ``on_answer``: traces beside the runs of this user's store (:func:`tracking_uri`).

    Prompts, answers and rows are not in them. Close the engine first.

    Raises
    ------
    TrackingError
        If the store does not answer now. When it stops answering later, answers lack their traces and MLflow warns.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    tracker = open_tracker(ADVICE)
    yield lambda answer: _tell(tracker, answer)


def _tell(tracker: Tracker, answer: Answer) -> None:
    (name, start, end), *phases = times(answer, time.time_ns())
    whole = _span(name, start, experiment_id=tracker.experiment, tags={"fairmoe.request": answer.id})
    whole.set_attributes(attributes(answer))
    for phase, begun, done in phases:
        _span(phase, begun, parent_span=whole).end(end_time_ns=done)
    whole.end(end_time_ns=end)


def _span(name: str, start: int, **more: Any) -> LiveSpan:
    import mlflow
    from mlflow.entities import LiveSpan

    made = mlflow.start_span_no_context(name, start_time_ns=start, **more)
    if not isinstance(made, LiveSpan):
        raise TrackingError(f"MLflow made no span {name}; its own warning says why.")
    return made
