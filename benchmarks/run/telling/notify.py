"""How a job tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.plan.part_shares import PartShares

Notify = Callable[[str, str, float], None]
"""(job name, stage, share of the job that is done) → shown as progress."""

SAME = -1.0
"""As a share: there is news of the stage, and the job is as far as it was."""


class PartsNotify:
    """Tells a job's stages with the share of its parts that is done, and again whenever a part ends.

    Parameters
    ----------
    job : str
        Name of the job.
    notify : callable
        Who is told.
    shares : PartShares
    """

    def __init__(self, job: str, notify: Notify, shares: PartShares) -> None:
        self._job, self._notify, self._shares = job, notify, shares
        self._stage = "load"

    def __call__(self, job: str, stage: str, share: float) -> None:  # noqa: ARG002 - a Notify: parts know the share
        """A stage began, or there is news of it."""
        self._stage = stage
        self._notify(job, stage, self._shares.share)

    def reached(self, entry: str, share: float) -> None:
        """A share of a part is done; the stage tells it."""
        self._shares.reached(entry, share)

    def ended(self, entry: str, seconds: float, within: list[str]) -> None:
        """A part is done; where it is not expected, the innermost one that is, and that it was made for, goes on."""
        known = next((each for each in (entry, *reversed(within)) if self._shares.knows(each)), entry)
        self._shares.spent(known, seconds)
        self._shares.ended(entry)
        self._notify(self._job, self._stage, self._shares.share)
