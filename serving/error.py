"""Why a request was not answered: a name that programs can read, a paragraph for people, HTTP's number."""

from __future__ import annotations

from typing import Final

HTTP: Final = {
    "overloaded": 429,
    "unknown-expert": 404,
    "expert-gone": 410,
    "too-long": 400,
    "bad-request": 400,
    "undefined-composition": 400,
    "no-base": 400,
    "cancelled": 499,
    "timeout": 504,
    "closing": 503,
    "internal": 500,
}
"""Reason to HTTP status; the keys are all reasons that there are."""


class ServingError(RuntimeError):
    """A request that is refused, or was given up.

    Parameters
    ----------
    reason : str
        One of :data:`HTTP`; the same for the same fault.
    text : str
        What, where and what to do.
    retry_after : float, optional
        Seconds after which asking again may help.

    Attributes
    ----------
    http : int
        Status that a server answers with.
    """

    def __init__(self, reason: str, text: str, retry_after: float | None = None) -> None:
        super().__init__(f"{text} [{reason}]")
        self.reason, self.text, self.retry_after = reason, text, retry_after
        self.http = HTTP[reason]
