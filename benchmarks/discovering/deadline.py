"""When the time of a discovery is over; asked between units of work, so that nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.discovering.error import BudgetEndedError


@dataclass(frozen=True)
class Deadline:
    """A point in time.

    Attributes
    ----------
    seconds : float or None
        From the start; None: there is no end.
    clock : callable
        Seconds of a clock that never goes back.
    begun : float or None
        What the clock said at the start; None: now.
    """

    seconds: float | None = None
    clock: Callable[[], float] = time.monotonic
    begun: float | None = None
    start: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", self.clock() if self.begun is None else self.begun)

    @property
    def left(self) -> float:
        """Seconds left; infinite where there is no end."""
        return float("inf") if self.seconds is None else self.seconds - (self.clock() - self.start)

    def over(self) -> bool:
        """Whether the time is over."""
        return self.left <= 0

    def check(self, *_: object) -> None:
        """End the work if the time is over; takes and ignores what progress is told.

        Raises
        ------
        BudgetEndedError
            Then.
        """
        if self.over():
            raise BudgetEndedError(f"The budget of {(self.seconds or 0) / 60:g} minutes is over.")
