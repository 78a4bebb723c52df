"""What workers say to the driver while units run: progress for people, and facts by which limits are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.run.telling.notify import Notify


@dataclass(frozen=True)
class Fact:
    """Of an attempt at a unit: it runs on a node; ``memory``: the bytes that it takes, which are more than it may."""

    attempt: int
    node: str
    memory: int = 0


@dataclass
class Mail:
    """Messages since the mailbox was emptied."""

    news: list[tuple[str, str, str, float]] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)


class Mailbox:
    """An actor beside the driver: workers leave messages, the driver takes them."""

    def __init__(self) -> None:
        self._mail = Mail()

    def tell(self, job: str, unit: str, stage: str, share: float) -> None:
        """News of a unit."""
        self._mail.news.append((job, unit, stage, share))

    def note(self, fact: Fact) -> None:
        """A fact of an attempt."""
        self._mail.facts.append(fact)

    def take(self) -> Mail:
        """What was left since the last time."""
        found, self._mail = self._mail, Mail()
        return found


class Told:
    """Sums what the units of a job have done of it."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._shares: dict[str, dict[str, float]] = {}

    def __call__(self, job: str, unit: str, stage: str, share: float) -> None:
        """News of a unit."""
        own = self._shares.setdefault(job, {})
        own[unit] = max(share, own.get(unit, 0.0))
        self._notify(job, stage, min(sum(own.values()), 1.0))


class Listener:
    """The driver's ear: takes what lies in the mailbox, which may be gone for a while, and progress with it."""

    def __init__(self, ray: Any, mailbox: Any) -> None:
        self._ray, self._mailbox, self._asked = ray, mailbox, None

    def take(self) -> Mail:
        """What was said, without waiting."""
        if self._asked is None:
            self._asked = self._mailbox.take.remote()
        if not self._ray.wait([self._asked], timeout=0)[0]:
            return Mail()
        asked, self._asked = self._asked, None
        try:
            found: Mail = self._ray.get(asked)
        except self._ray.exceptions.RayActorError:
            return Mail()  # progress and starts alone: what was done is in files
        return found
