"""Why a request has no answer, for whoever asked: what users can mend is told, what the program got wrong is logged."""

from __future__ import annotations

import logging
from collections.abc import Callable

from serving.error import ServingError

LOG = logging.getLogger(__name__)
Explain = Callable[[Exception], str | None]
"""The paragraph of an error that users can mend, None of another."""


def refusal(error: Exception, explain: Explain) -> ServingError:
    """What a client is told of an error: ``bad-request`` where ``explain`` has words, otherwise ``internal``."""
    if isinstance(error, ServingError):
        return error
    text = explain(error)
    if text is not None:
        return ServingError("bad-request", text)
    LOG.error("A request failed.", exc_info=error)
    return ServingError("internal", "The request failed by a fault of the program; its log says where.")
