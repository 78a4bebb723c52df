"""What is installed: one file, whose replacement is the instant at which an installation happens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from artefacts.registry.durable import write_json_durably
from artefacts.registry.error import RegistryError
from artefacts.registry.release import Needs

FORMAT = "fairmoe-installed/1"


@dataclass(frozen=True)
class Record:
    """An installed package.

    Attributes
    ----------
    name, version : str
        As in its manifest.
    package, manifest : str
        sha256 of its file and of its canonical manifest.
    bytes : int
        Size of its file.
    needs : Needs
        What it asks of others.
    location : str
        Where its bytes came from: an address, or a path.
    index : str
        Name of the index that told it; empty when it was given.
    key : str
        Fingerprint of the key that it was trusted by, or of its index line; empty for none.
    asked : str
        The range that the user asked for; empty when it is here because others require it.
    mark : str
        Why it should not have been installed (``--allow-untrusted``); empty for a trusted one.
    """

    name: str
    version: str
    package: str
    manifest: str
    bytes: int
    needs: Needs
    location: str
    index: str = ""
    key: str = ""
    asked: str = ""
    mark: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def record_of(found: Mapping[str, Any]) -> Record:
    """The inverse of :meth:`Record.as_json`; TypeError or KeyError for other data."""
    return Record(**{**found, "needs": Needs(**found["needs"])})


@dataclass(frozen=True)
class State:
    """All installed packages, and the keys that names were first seen with.

    Attributes
    ----------
    installed : mapping of str to Record
        By name.
    keys : mapping of str to str
        Name to fingerprint; kept when the package goes, so that another key is noticed later.
    """

    installed: Mapping[str, Record] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)

    def requiring(self, name: str) -> list[str]:
        """Installed packages that require a name."""
        return sorted(other.name for other in self.installed.values() if name in other.needs.requires)

    def reachable(self) -> State:
        """Without packages that nobody asked for and nothing requires."""
        kept: set[str] = set()
        waiting = [record.name for record in self.installed.values() if record.asked]
        while waiting:
            name = waiting.pop()
            if name not in kept and name in self.installed:
                kept.add(name)
                waiting.extend(self.installed[name].needs.requires)
        return replace(self, installed={name: record for name, record in self.installed.items() if name in kept})


def read_state(path: Path) -> State:
    """What is installed; nothing when the file is absent.

    Raises
    ------
    RegistryError
        ``registry-damaged``: the file is not one that this program wrote.
    """
    if not path.exists():
        return State()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']!r}")
        return State({name: record_of(record) for name, record in found["installed"].items()}, found["keys"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(
            "registry-damaged", f"{path} cannot be read ({error}). Move it away and install your packages again."
        ) from error


def write_state(path: Path, state: State) -> None:
    """Replace the file, durably."""
    installed = {name: record.as_json() for name, record in state.installed.items()}
    write_json_durably(path, {"format": FORMAT, "installed": installed, "keys": dict(state.keys)})
