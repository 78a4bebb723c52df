"""A lock file: which packages, byte for byte, so that another machine gets the same."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from artefacts.registry.durable import write_json_durably
from artefacts.registry.error import RegistryError
from artefacts.registry.index import Index, fetch
from artefacts.registry.record import Record, State, record_of
from artefacts.registry.release import Release
from artefacts.registry.sources import given_at
from foundation.hashing import hash_file
from foundation.progress import Tell, silent

FORMAT = "fairmoe-lock/1"


@dataclass(frozen=True)
class Locked:
    """The packages of a lock file.

    Attributes
    ----------
    records : tuple of Record
    folder : Path
        Of the file; packages that lie beside it are used.
    """

    records: tuple[Record, ...]
    folder: Path

    def fetch(
        self, record: Record, scratch: Path, indexes: Iterable[Index], watch: Tell = silent, *, offline: bool = False
    ) -> Path:
        """The bytes of a package: beside the lock file, in an index, or where they once came from.

        Raises
        ------
        RegistryError
            ``package-missing``; ``other-bytes`` where it came from has changed since; ``network``, ``git-...``;
            ``offline`` where only a network has it.
        """
        for path in sorted(self.folder.glob("*.expert")):
            if path.stat().st_size == record.bytes and hash_file(path) == record.package:
                return path
        target = scratch / f"locked-{record.name}.expert"
        for index in indexes:
            for release in index.releases(record.name):
                if release.package == record.package:
                    return index.fetch(release, target, watch, offline=offline)
        found = _where_it_was(record, scratch, target, watch, offline)
        if found is None:
            raise _missing(record)
        if hash_file(found) != record.package:
            raise _other_bytes(record)
        return found


def _where_it_was(record: Record, scratch: Path, target: Path, watch: Tell, offline: bool) -> Path | None:
    if urlsplit(record.location).scheme != "https":
        place = scratch / f"given-{record.name}"
        place.mkdir()
        return given_at(record.location, place, watch, offline=offline)
    release = Release(
        record.name, record.version, record.manifest, record.package, record.bytes, record.location, record.key,
        record.needs,
    )  # fmt: skip
    try:
        return fetch(release, target, watch=watch, offline=offline)
    except RegistryError as error:
        if error.reason == "index-tampered":
            raise _other_bytes(record) from error
        raise


def _missing(record: Record) -> RegistryError:
    came = f" They came from {'an index called ' + record.index if record.index else record.location}."
    remedy = "Add that index, or put" if record.index else "Put"
    return RegistryError(
        "package-missing",
        f"The bytes of {record.name} {record.version} (sha256 {record.package}) are neither beside the lock file, nor "
        f"in an index, nor where they were.{came} {remedy} the .expert file beside the lock file ('fairmoe lock "
        "--files' writes it there, where it is installed).",
    )


def _other_bytes(record: Record) -> RegistryError:
    return RegistryError(
        "other-bytes",
        f"{record.location} holds another {record.name} than the lock file names (sha256 {record.package}): it was "
        "changed since. Nothing was installed. Put the .expert file of then beside the lock file ('fairmoe lock "
        "--files' writes it there, where it is installed), or install and lock anew.",
    )


def write_lock(state: State, path: Path) -> None:
    """Write what is installed, sorted by name."""
    records = [state.installed[name].as_json() for name in sorted(state.installed)]
    write_json_durably(path, {"format": FORMAT, "packages": records})


def read_lock(path: Path) -> Locked:
    """Read a lock file.

    Raises
    ------
    RegistryError
        ``lock-damaged``.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']!r}, not {FORMAT!r}")
        return Locked(tuple(record_of(record) for record in found["packages"]), path.parent)
    except OSError as error:
        raise RegistryError(
            "lock-damaged", f"The lock file {path} cannot be read: {error.strerror}. 'fairmoe lock' writes one."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError("lock-damaged", f"{path} is no lock file: {error}. 'fairmoe lock' writes one.") from error
