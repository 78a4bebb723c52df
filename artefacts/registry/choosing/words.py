"""Why no set of versions exists, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from artefacts.format.names import Range, Version
from artefacts.registry.choosing.candidates import Candidate, Candidates
from artefacts.registry.error import RegistryError
from artefacts.registry.record import Record
from artefacts.registry.release import Release
from foundation.refusals import did_you_mean

SHOWN = 8
"""Most versions that a sentence lists."""


class Asked(Protocol):
    """A requirement."""

    @property
    def name(self) -> str:
        """The name."""

    @property
    def range(self) -> str:
        """The range as written."""

    @property
    def negated(self) -> bool:
        """Whether it must not be there."""


def conflict(causes: Sequence[tuple[Asked, Candidate | None]], candidates: Candidates) -> RegistryError:
    """The error for requirements that cannot all be kept.

    Parameters
    ----------
    causes : sequence of (requirement, candidate or None)
        Each with the package that asks for it; None for the user.
    candidates : Candidates

    Returns
    -------
    RegistryError
        ``unknown-name``, ``yanked``, ``downgrade`` or ``version-conflict``.
    """
    names = list(dict.fromkeys(asked.name for asked, _ in causes))
    asks = "; ".join(dict.fromkeys(_sentence(asked, parent) for asked, parent in causes))
    for name in names:
        if special := _special(name, [asked for asked, _ in causes if asked.name == name], candidates, asks):
            return special
    there = "; ".join(_there(name, candidates) for name in names)
    return RegistryError(
        "version-conflict",
        f"These cannot all be kept: {asks}. There is: {there}. Ask for another version, update or uninstall what "
        "stands in the way; nothing was changed.",
    )


def _special(name: str, asked: Sequence[Asked], candidates: Candidates, asks: str) -> RegistryError | None:
    """An error that one name alone explains."""
    if any(one.negated for one in asked) or _fits(candidates.of(name), asked):
        return None
    record = candidates.rules.installed.get(name)
    if name in candidates.rules.given:
        return None
    _, releases = candidates.releases(name)
    if not releases and record is None:
        hint = did_you_mean(name, candidates.names(), most=3) or "Add one that has it: fairmoe index add NAME URL."
        known = ", ".join(candidates.indexes())
        where = f"None of your indexes ({known}) has" if known else "You have no index yet, so nobody knows"
        return RegistryError("unknown-name", f"{where} a package {name!r} ({asks}). {hint.strip()}")
    unheard = [one for one in asked if not _heard_of(one, releases, record)]
    if unheard:
        return RegistryError(
            "unknown-version",
            f"{_capital(asks)}, but no version of {name} is in the range {unheard[0].range}. There is: "
            f"{_there(name, candidates)}. Ask for one of these, or for {name} alone; nothing was changed.",
        )
    fitting = [release for release in releases if _allowed(asked, Version.parse(release.version))]
    if fitting and all(release.yanked for release in fitting):
        why = "; ".join(f"{release.version}: {release.yanked}" for release in fitting[:SHOWN])
        return RegistryError(
            "yanked",
            f"{_capital(asks)}, but every version of {name} in that range was withdrawn by its publisher ({why}). "
            "Ask for another version; lock files still find this one.",
        )
    movable = record is not None and (not record.asked or name in candidates.rules.free)
    if record is not None and movable and any(not release.yanked for release in fitting):
        return RegistryError(
            "downgrade",
            f"{_capital(asks)}, but {name} {record.version} is installed and only older versions are in that range. "
            "Older versions may lack corrections; --allow-downgrade installs one all the same.",
        )
    return None


def _heard_of(asked: Asked, releases: Sequence[Release], record: Record | None) -> bool:
    """Whether a version in the range was ever published, or is installed."""
    versions = [release.version for release in releases] + ([record.version] if record is not None else [])
    return any(Version.parse(version) in Range.parse(asked.range) for version in versions)


def _capital(sentence: str) -> str:
    """Names of packages stay as they are written."""
    return f"Y{sentence[1:]}" if sentence.startswith("you ") else sentence


def _fits(found: Sequence[Candidate], asked: Sequence[Asked]) -> bool:
    return any(candidate.version is not None and _allowed(asked, candidate.version) for candidate in found)


def _allowed(asked: Sequence[Asked], version: Version) -> bool:
    return all(version in Range.parse(one.range) for one in asked)


def _sentence(asked: Asked, parent: Candidate | None) -> str:
    who = str(parent) if parent is not None else "you"
    verb = "cannot stand beside" if asked.negated else "requires" if parent is not None else "asked for"
    return f"{who} {verb} {asked.name} {asked.range}"


def _there(name: str, candidates: Candidates) -> str:
    found = sorted((c.version for c in candidates.of(name) if c.version is not None), reverse=True)
    versions = ", ".join(map(str, found[:SHOWN])) + (f" and {len(found) - SHOWN} older" if len(found) > SHOWN else "")
    record = candidates.rules.installed.get(name)
    fixed = record is not None and record.asked and name not in candidates.rules.free
    return f"{name} {versions or '(none)'}{' (installed; fairmoe update would free it)' if fixed else ''}"
