"""How long a run still takes: what its jobs were estimated to take, at the pace that was measured."""

from __future__ import annotations

from collections.abc import Mapping

TRUST = 0.1
"""The estimate counts as if this share of the run had been done at its pace: the first seconds decide nothing."""


class TimeLeft:
    """Seconds left of several jobs.

    Parameters
    ----------
    expected : mapping of job name -> seconds
        Estimates, on one worker; jobs without one are alike.
    workers : int
        Jobs that run at a time.
    """

    def __init__(self, expected: Mapping[str, float], workers: int) -> None:
        self._expected = {name: max(seconds, 1e-3) for name, seconds in expected.items()}
        self._workers = max(1, min(workers, len(expected)))
        self._done = dict.fromkeys(expected, 0.0)
        self._last: tuple[float, float] | None = None

    def reached(self, job: str, share: float) -> None:
        """A share of a job is done; it never goes back."""
        if job in self._done:
            self._done[job] = max(self._done[job], min(share, 1.0))

    @property
    def share(self) -> float:
        """Share of all work that is done, in [0, 1]."""
        total = sum(self._expected.values())
        return sum(self._expected[job] * share for job, share in self._done.items()) / total if total else 1.0

    def seconds(self, elapsed: float) -> float:
        """Seconds left after ``elapsed`` seconds; from one call to the next it grows at most as fast as the clock."""
        left = self._pace(elapsed) * self._shortest()
        if self._last is not None:
            then, before = self._last
            left = min(left, before + max(0.0, elapsed - then))
        self._last = (elapsed, left)
        return left

    def _pace(self, elapsed: float) -> float:
        """Measured seconds for each estimated one."""
        planned = sum(self._expected.values()) / self._workers
        return (elapsed + TRUST * planned) / (self.share * planned + TRUST * planned)

    def _shortest(self) -> float:
        """Estimated seconds of what is left on all workers: no less than the longest job, which one worker does."""
        left = [self._expected[job] * (1 - share) for job, share in self._done.items()]
        return max(sum(left) / self._workers, max(left, default=0.0))


def in_words(seconds: float) -> str:
    """About how long: no more digits than an estimate has.

    Examples
    --------
    >>> in_words(7), in_words(44), in_words(200), in_words(5000)
    ('a few seconds', 'about 40 s', 'about 3 min', 'about 1.4 h')
    """
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"about {round(seconds, -1):.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 3600 else f"about {seconds / 3600:.1f} h"
