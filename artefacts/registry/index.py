"""An index: a folder that says which versions of which names there are, with their hashes and where they lie.

``index.json`` marks the folder; ``packages/ab/NAME.jsonl`` has one line per version. A name belongs to the key of its
first line: lines of another key make the file invalid.
"""

from __future__ import annotations

import http.client
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from artefacts.format.names import check_name
from artefacts.registry.error import RegistryError, offline_error
from artefacts.registry.release import Release, parse_release
from foundation.hashing import hash_file
from foundation.progress import Tell, silent

FORMAT = "fairmoe-index/1"
MARK = "index.json"
TIME_LIMIT = 60
"""Seconds without an answer after which a download is given up."""
LONGEST = 64 << 20
"""Most bytes of a file of versions."""


class Index:
    """Reader of an index.

    Parameters
    ----------
    folder : Path
        Where it lies on this machine.
    name : str
        What people call it, for messages.

    Raises
    ------
    RegistryError
        ``no-index``: the folder has no ``index.json`` of a known format.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        try:
            known = json.loads((folder / MARK).read_text(encoding="utf-8")).get("format") == FORMAT
        except (OSError, ValueError, AttributeError):
            known = False
        if not known:
            raise RegistryError(
                "no-index",
                f"{name} is no index: it has no {MARK} with the format {FORMAT}. 'fairmoe publish' makes one.",
            )

    def path(self, name: str) -> Path:
        """File of the versions of a name."""
        return self.folder / "packages" / check_name(name)[:2] / f"{name}.jsonl"

    def names(self) -> Iterator[str]:
        """All names, sorted."""
        return (path.stem for path in sorted(self.folder.glob("packages/*/*.jsonl")))

    def releases(self, name: str) -> list[Release]:
        """All versions of a name in the order of their publication; none if the index lacks it.

        Raises
        ------
        RegistryError
            ``index-damaged``: a line cannot be read or is of another name; ``index-tampered``: of another key.
        """
        path = self.path(name)
        if not path.is_file():
            return []
        if path.stat().st_size > LONGEST:
            raise RegistryError("index-damaged", f"{path} is longer than {LONGEST >> 20} MB.")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        found = [parse_release(line, str(path)) for line in lines]
        for release in found:
            if release.name != name:
                raise RegistryError("index-damaged", f"{path} has a line of another name, {release.name!r}.")
            if release.key != found[0].key:
                raise RegistryError(
                    "index-tampered",
                    f"In the index {self.name}, {name} {release.version} is by the key {release.key}, but the name "
                    f"belongs to {found[0].key}, which published it first. Nothing was installed; ask its owner.",
                )
        return found

    def fetch(self, release: Release, target: Path, watch: Tell = silent, *, offline: bool = False) -> Path:
        """Copy or download the file of a release, and check its hash.

        Raises
        ------
        RegistryError
            ``package-missing``, ``network``, ``offline``, ``index-tampered`` (other bytes than the index tells).
        """
        return fetch(release, target, self.folder, watch, offline=offline)


def fetch(
    release: Release, target: Path, folder: Path | None = None, watch: Tell = silent, *, offline: bool = False
) -> Path:
    """The file of a release at ``target``; ``folder`` is the index that its path is relative to."""
    what = f"{release.name} {release.version}"
    place = urlsplit(release.location)
    if place.scheme == "https":
        if offline:
            raise offline_error(what, release.location)
        _download(release, target, watch)
    else:
        source = _local(release, folder)
        if not source.is_file():
            raise RegistryError("package-missing", f"The file of {what} is not at {source}.")
        if source.stat().st_size == release.bytes:
            shutil.copyfile(source, target)
    if not target.exists() or hash_file(target) != release.package:
        raise RegistryError(
            "index-tampered",
            f"The file of {what} at {release.location} has other bytes than its index tells (sha256 {release.package}, "
            f"{release.bytes} bytes). It was changed after it was published; nothing was installed.",
        )
    return target


def _local(release: Release, folder: Path | None) -> Path:
    place = urlsplit(release.location)
    if place.scheme == "file" and not place.netloc:
        return Path(url2pathname(place.path))
    path = Path(release.location)
    if place.scheme or folder is None or path.is_absolute() or ".." in path.parts or "\\" in release.location:
        raise RegistryError(
            "index-damaged", f"The location {release.location!r} of {release.name} is no path within its index, no "
            "https:// and no file:// address.",
        )  # fmt: skip
    found = folder / path
    if not found.resolve().is_relative_to(folder.resolve()):
        raise RegistryError("index-damaged", f"The location {release.location!r} of {release.name} leaves its index.")
    return found


def _download(release: Release, target: Path, watch: Tell) -> None:
    """At most the bytes that the index tells."""
    left = release.bytes + 1
    try:
        with urllib.request.urlopen(release.location, timeout=TIME_LIMIT) as stream, target.open("wb") as file:
            while left and (block := stream.read(min(left, 1 << 20))):
                file.write(block)
                left -= len(block)
                watch(f"{release.name} {release.version}", release.bytes + 1 - left, release.bytes)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise RegistryError(
            "network", f"{release.name} {release.version} cannot be fetched from {release.location}: {error}."
        ) from error
