"""One version of a package as an index tells it: enough to choose, and to check what is then fetched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from artefacts.format.manifest import LONGEST_CHAIN, Manifest
from artefacts.format.names import Range, Version
from artefacts.registry.error import RegistryError

_TEXTS = ("name", "version", "manifest", "package", "location", "key")


@dataclass(frozen=True)
class Needs:
    """What a package asks of others.

    Attributes
    ----------
    requires : mapping of str to str
        Name to range of versions.
    incompatible : mapping of str to str
        Name to range of versions that must not be there.
    members : mapping of str to str
        Name to the sha256 of the canonical manifest that it must have; their versions are in ``requires``.
    base : str
        Hash of the weights of the base model; empty for none.
    max_chain : int
        Longest chain of packages that it may end.
    """

    requires: Mapping[str, str] = field(default_factory=dict)
    incompatible: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, str] = field(default_factory=dict)
    base: str = ""
    max_chain: int = LONGEST_CHAIN


@dataclass(frozen=True)
class Release:
    """A line of an index.

    Attributes
    ----------
    name, version : str
        As in the manifest.
    manifest : str
        sha256 of the canonical manifest.
    package : str
        sha256 of the package's file.
    bytes : int
        Size of that file.
    location : str
        Path in the index, or an address (``https://``, ``file://``).
    key : str
        Fingerprint of the publisher's key.
    needs : Needs
        A copy of the manifest's constraints, so that nothing is fetched to choose.
    yanked : str
        Why it should not be chosen any more; empty for a good one.
    """

    name: str
    version: str
    manifest: str
    package: str
    bytes: int
    location: str
    key: str
    needs: Needs
    yanked: str = ""

    def line(self) -> str:
        """JSON on one line."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False) + "\n"


def needs_of(manifest: Manifest) -> Needs:
    """What a manifest asks of other packages.

    Raises
    ------
    RegistryError
        ``version-conflict``: it requires a range of a name that its own member of that name is outside of.
    """
    constraints = manifest.constraints
    requires = dict(constraints.requires)
    for member in manifest.members:
        wanted = requires.get(member.name, "*")
        if wanted != "*" and Version.parse(member.version) not in Range.parse(wanted):
            raise RegistryError(
                "version-conflict",
                f"{manifest.name} {manifest.version} requires {member.name} {wanted}, but has its {member.version} as "
                "a member. Its author must mend that.",
            )
        requires[member.name] = f"=={member.version}"
    return Needs(
        requires,
        dict(constraints.incompatible_with),
        {member.name: member.content for member in manifest.members},
        manifest.base.sha256 if manifest.base is not None else "",
        constraints.max_chain,
    )


def parse_release(line: str, where: str) -> Release:
    """Read a line of an index.

    Raises
    ------
    RegistryError
        ``index-damaged``, naming the file.
    """
    try:
        found = json.loads(line)
        release = Release(**{**found, "needs": _needs(found["needs"])})
        if not all(isinstance(getattr(release, name), str) for name in (*_TEXTS, "yanked")):
            raise TypeError("a text is none")
        if type(release.bytes) is not int or release.bytes < 0:
            raise TypeError("a size is none")
        Version.parse(release.version)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RegistryError("index-damaged", f"A line in {where} cannot be read: {error}.") from error
    return release


def _needs(found: Any) -> Needs:
    needs = Needs(**found)
    if not isinstance(needs.base, str) or type(needs.max_chain) is not int:
        raise TypeError("a need is none")
    _words(needs.members)
    for text in (*_words(needs.requires).values(), *_words(needs.incompatible).values()):
        Range.parse(text)
    return needs


def _words(found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(word, str) for pair in found.items() for word in pair):
        raise TypeError("no table of names and ranges")
    return found
