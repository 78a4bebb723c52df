"""Publishing: a package's file and one line into an index; committed when the index lies in a Git work tree."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from artefacts.format.archive import open_package
from artefacts.format.names import Version, skeleton
from artefacts.registry.durable import sync, write_durably, write_json_durably
from artefacts.registry.error import RegistryError
from artefacts.registry.examined import signers
from artefacts.registry.git import commit_paths, is_work_tree
from artefacts.registry.index import FORMAT, MARK, Index
from artefacts.registry.release import Release, needs_of
from foundation.files import atomic_path
from foundation.folder_lock import turn
from foundation.hashing import hash_file


@dataclass(frozen=True)
class Published:
    """What was published.

    Attributes
    ----------
    release : Release
    new : bool
        False if the index had it already.
    committed : bool
        Whether a commit was made.
    """

    release: Release
    new: bool
    committed: bool


def publish(package: Path, folder: Path, *, location: str = "", allow_downgrade: bool = False) -> Published:
    """Add a signed package to an index.

    Parameters
    ----------
    package : Path
        Its file.
    folder : Path
        The index; an empty or absent folder becomes one.
    location : str
        An ``https://`` address where the file already lies; empty copies it into the index.
    allow_downgrade : bool
        Publish a version below the newest one, such as a correction of an older line.

    Raises
    ------
    RegistryError
        ``unsigned``, ``other-key``, ``version-taken``, ``downgrade``, ``look-alike``, ``no-index``, ``bad-location``.
    PackageError
        The package's format is violated.
    """
    opened = open_package(package)
    opened.check()
    keys = signers(opened)
    manifest = opened.manifest
    if not keys:
        raise RegistryError(
            "unsigned",
            f"{package} has no valid signature. An index binds a name to a key: sign it first (fairmoe sign).",
        )
    if location and not location.startswith("https://"):
        raise RegistryError("bad-location", f"{location!r} is no https:// address. Without one the file is copied.")
    where = location or f"files/{manifest.name}-{manifest.version}.expert"
    facts = package.stat().st_size, where, keys[0], needs_of(manifest)
    release = Release(manifest.name, manifest.version, opened.content, opened.digest, *facts)
    with _writing(folder) as index:
        return _publish(index, release, keys, package, allow_downgrade)


def yank(folder: Path, name: str, version: str, why: str) -> Published:
    """Withdraw a version: it is chosen no more, and lock files still find it.

    Raises
    ------
    RegistryError
        ``unknown-version``.
    """
    with _writing(folder) as index:
        releases = index.releases(name)
        for number, release in enumerate(releases):
            if release.version == version:
                releases[number] = replace(release, yanked=" ".join(why.split()) or "no reason given")
                _write(index, releases)
                done = _commit(index, [index.path(name)], f"Withdraw {name} {version}")
                return Published(releases[number], releases[number] != release, done)
        raise RegistryError("unknown-version", f"The index {folder} has no {name} {version}.")


@contextmanager
def _writing(folder: Path) -> Iterator[Index]:
    """One writer per index, which is made when the folder is absent or empty."""
    if folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        Index(folder, str(folder))  # nothing is written beside the files of something else
    with turn(_lock_of(folder)):
        if not (folder / MARK).exists():
            write_json_durably(folder / MARK, {"format": FORMAT})
        yield Index(folder, str(folder))


def _lock_of(folder: Path) -> Path:
    git = folder / ".git"
    return (git if git.is_dir() else folder) / ".fairmoe.lock"


def _publish(index: Index, release: Release, keys: tuple[str, ...], package: Path, allow_downgrade: bool) -> Published:
    known = index.releases(release.name)
    _check_name(index, release.name, known)
    if known:
        if known[0].key not in keys:
            raise RegistryError(
                "other-key",
                f"In this index the name {release.name} belongs to the key {known[0].key}; {package} is signed by "
                f"{', '.join(keys)}. Choose another name, or have its owner sign it.",
            )
        release = replace(release, key=known[0].key)
    same = [old for old in known if Version.parse(old.version) == Version.parse(release.version)]
    if same and same[0].package != release.package:
        raise RegistryError(
            "version-taken",
            f"This index has {release.name} {release.version} with other bytes (sha256 {same[0].package[:16]}…, not "
            f"{release.package[:16]}…). Publish the changed package under a new version.",
        )
    newest = max((Version.parse(old.version) for old in known), default=None)
    if not same and newest is not None and Version.parse(release.version) < newest and not allow_downgrade:
        raise RegistryError(
            "downgrade",
            f"{release.name} {release.version} is older than {newest}, which this index has. --allow-downgrade "
            "publishes it all the same, say as a correction of an older line.",
        )
    release = same[0] if same else release
    paths = [index.folder / MARK, *_copy(index, release, package), index.path(release.name)]
    if not same:
        _write(index, [*known, release])
    return Published(release, not same, _commit(index, paths, f"Publish {release.name} {release.version}"))


def _check_name(index: Index, name: str, known: list[Release]) -> None:
    """A new name must not look like one that is there."""
    if known:
        return
    for other in index.names():
        if skeleton(other) == skeleton(name):
            raise RegistryError(
                "look-alike",
                f"The name {name} looks like {other}, which this index has: people would take one for the other. "
                "Choose another name.",
            )


def _copy(index: Index, release: Release, package: Path) -> list[Path]:
    if "://" in release.location:
        return []
    target = index.folder / release.location
    if not target.exists() or hash_file(target) != release.package:
        with atomic_path(target) as temporary:
            shutil.copyfile(package, temporary)
            sync(temporary)
        sync(target.parent)
    return [target]


def _write(index: Index, releases: list[Release]) -> None:
    write_durably(index.path(releases[0].name), "".join(release.line() for release in releases).encode())


def _commit(index: Index, paths: list[Path], message: str) -> bool:
    return is_work_tree(index.folder) and commit_paths(index.folder, paths, message)
