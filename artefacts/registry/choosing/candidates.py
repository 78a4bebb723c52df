"""What could be installed under a name: the versions of the first index that has it, what is there, what was given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from artefacts.format.names import Version
from artefacts.registry.index import Index
from artefacts.registry.record import Record
from artefacts.registry.release import Needs, Release


@dataclass(frozen=True)
class Candidate:
    """One version of a package that could be there, or that a name is absent (``version`` is None).

    Attributes
    ----------
    name : str
    version : Version or None
    needs : Needs
    release : Release or None
        Its line, when an index has it.
    index : Index or None
        That index.
    """

    name: str
    version: Version | None
    needs: Needs = field(default_factory=Needs, compare=False)
    release: Release | None = field(default=None, compare=False)
    index: Index | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version is not None else f"no {self.name}"


@dataclass(frozen=True)
class Rules:
    """Which candidates count.

    Attributes
    ----------
    installed : mapping of str to Record
        What is there.
    given : mapping of str to Candidate
        Packages that the user gave as files: no other version of their names counts.
    free : frozenset of str
        Names whose version may change although the user asked for them once.
    downgrade : bool
        Whether a name may get an older version than it has.
    newest : bool
        Prefer the newest version to the one that is there.
    """

    installed: Mapping[str, Record] = field(default_factory=dict)
    given: Mapping[str, Candidate] = field(default_factory=dict)
    free: frozenset[str] = frozenset()
    downgrade: bool = False
    newest: bool = False


class Candidates:
    """All candidates by name, each list read once.

    Parameters
    ----------
    indexes : iterable of Index
        The first that has a name is asked for it; no other.
    rules : Rules
    """

    def __init__(self, indexes: Iterable[Index], rules: Rules) -> None:
        self._indexes, self.rules = indexes, rules
        self._found: dict[str, list[Candidate]] = {}
        self._releases: dict[str, tuple[Index | None, list[Release]]] = {}

    def of(self, name: str) -> list[Candidate]:
        """The candidates of a name, the preferred one first."""
        if name not in self._found:
            self._found[name] = self._ordered(name)
        return self._found[name]

    def releases(self, name: str) -> tuple[Index | None, list[Release]]:
        """The index that has a name, and its lines, yanked ones included."""
        if name not in self._releases:
            found: tuple[Index | None, list[Release]] = (None, [])
            for index in self._indexes:
                if lines := index.releases(name):
                    found = (index, lines)
                    break
            self._releases[name] = found
        return self._releases[name]

    def indexes(self) -> list[str]:
        """What the indexes are called, the first asked first."""
        return [index.name for index in self._indexes]

    def names(self) -> list[str]:
        """Every name that an index has."""
        return sorted({name for index in self._indexes for name in index.names()})

    def _ordered(self, name: str) -> list[Candidate]:
        rules = self.rules
        if name in rules.given:
            return [rules.given[name]]
        record = rules.installed.get(name)
        here = _installed(record) if record else None
        if here is not None and record is not None and record.asked and name not in rules.free:
            return [here]
        index, releases = self.releases(name)
        found = [
            Candidate(name, Version.parse(release.version), release.needs, release, index)
            for release in releases
            if not release.yanked
        ]
        if here is not None:
            found = [other for other in found if rules.downgrade or _key(other) >= _key(here)]
            found = [here, *(other for other in found if _key(other) != _key(here))]
        found = sorted(found, key=_key, reverse=True)
        if here is not None and not (rules.newest and name in rules.free):
            found = [here, *(other for other in found if other is not here)]
        return found


def _key(candidate: Candidate) -> Version:
    assert candidate.version is not None, "an absent package is no candidate of a list"
    return candidate.version


def _installed(record: Record) -> Candidate:
    return Candidate(record.name, Version.parse(record.version), record.needs)
