"""What units made, in an object store or a folder: files by the hash of their bytes, and a record for each unit."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from benchmarks.run.executors.cluster.error import ClusterError
from foundation.files import atomic_path
from foundation.hashing import hash_file

LOCAL = ("file", "local")
"""Protocols whose files appear while they are written; of the others a file is there when it is whole."""


class Store:
    """Files of jobs below an fsspec URL, such as ``s3://bucket/run``, ``gs://…``, ``file:///shared/run``.

    A file lies under its sha256, so that what is there is never written again and what was damaged is found out when
    it is read. A unit's record names its files; it is written last, so that a unit is stored whole or not at all.

    Parameters
    ----------
    url : str

    Raises
    ------
    ClusterError
        If the URL cannot be opened, such as for want of the package of its protocol.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        opened: Any = fsspec.core.url_to_fs  # without annotations
        try:
            self._fs, root = opened(url)
        except (ImportError, ValueError) as error:
            raise ClusterError(
                f"The store {url!r} cannot be opened ({error}). Give a URL that fsspec knows, and install the package "
                "of its protocol on every node (s3fs for s3://, gcsfs for gs://)."
            ) from error
        self._root, self.url = str(root).rstrip("/"), url
        protocol = self._fs.protocol
        self._renames = any(name in LOCAL for name in ((protocol,) if isinstance(protocol, str) else protocol))

    def keep(self, home: Path, names: Iterable[str], job: str, unit: str) -> None:
        """Store files of a job's folder as those that a unit made, beside what it made when it ran before."""
        self._fs.invalidate_cache()
        record = self._named(job, unit) if self._fs.exists(self._record(job, unit)) else {}
        for name in sorted(names):
            digest = hash_file(home / name)
            record[name] = digest
            place = self._blob(digest)
            if not self._fs.exists(place):
                self._write(place, partial(self._fs.put_file, str(home / name)))
        data = json.dumps(record, indent=2, sort_keys=True).encode()
        self._write(self._record(job, unit), lambda to: self._fs.pipe_file(to, data))

    def units(self, job: str) -> list[str]:
        """Units of a job that are stored, by name."""
        folder = f"{self._root}/units/{job}"
        self._fs.invalidate_cache()
        if not self._fs.exists(folder):
            return []
        names = [PurePosixPath(str(path)).name for path in self._fs.ls(folder, detail=False)]
        return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))

    def fetch(self, home: Path, job: str, unit: str, wanted: Callable[[str], bool] = lambda _: True) -> list[str]:
        """Bring files of a stored unit into a job's folder; those that are there already are not read again.

        Raises
        ------
        ClusterError
            If a file is missing or its bytes are not those that were stored.
        """
        record = self._named(job, unit)
        for name, digest in record.items():
            if not _inside(name):
                raise ClusterError(f"The store {self.url} names a file outside of its job, {name!r}: do not use it.")
            path = home / name
            if wanted(name) and not (path.is_file() and hash_file(path) == digest):
                self._read(digest, path)
        return sorted(filter(wanted, record))

    def _named(self, job: str, unit: str) -> dict[str, str]:
        """Names of a unit's files with their hashes."""
        found: dict[str, str] = json.loads(self._fs.cat_file(self._record(job, unit)))
        return found

    def _read(self, digest: str, path: Path) -> None:
        with atomic_path(path) as temporary:
            try:
                self._fs.get_file(self._blob(digest), str(temporary))
            except FileNotFoundError as error:
                raise ClusterError(self._damaged(path, "is missing")) from error
            if hash_file(temporary) != digest:
                raise ClusterError(self._damaged(path, "has other bytes than were stored"))

    def _damaged(self, path: Path, what: str) -> str:
        return f"{path.name} {what} in the store {self.url}. Give another store, or empty this one, and run again."

    def _blob(self, digest: str) -> str:
        return f"{self._root}/files/{digest[:2]}/{digest}"

    def _record(self, job: str, unit: str) -> str:
        return f"{self._root}/units/{job}/{unit}.json"

    def _write(self, place: str, write: Callable[[str], Any]) -> None:
        """Whole or not at all."""
        if not self._renames:
            write(place)
            return
        self._fs.makedirs(place.rpartition("/")[0], exist_ok=True)
        temporary = f"{place}.{uuid.uuid4().hex[:8]}.tmp"
        write(temporary)
        self._fs.mv(temporary, place)


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
