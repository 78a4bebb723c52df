"""What units made, in an object store or a folder: files by the hash of their bytes, and a record for each unit."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from benchmarks.run.executors.cluster.error import ClusterError, StoreAwayError
from foundation.files import atomic_path
from foundation.hashing import hash_file

LOCAL = ("file", "local")
"""Protocols whose files appear while they are written; of the others a file is there when it is whole."""
PATIENCE = 300.0
"""Seconds for which a store may not answer before a unit is tried elsewhere."""
PAUSES = (0.5, 30.0)
"""Seconds between two tries: the first pause, which doubles, and the longest."""
LASTING = (FileNotFoundError, PermissionError, ClusterError)
"""Answers of a store, which another try does not change."""
Found = TypeVar("Found")


class Store:
    """Files of jobs below an fsspec URL, such as ``s3://bucket/run``, ``gs://…``, ``file:///shared/run``.

    A file lies under its sha256, so that what is there is never written again and what was damaged is found out when
    it is read. A unit's record names its files; it is written last, so that a unit is stored whole or not at all.

    A store that does not answer is asked again until ``patience`` is spent.

    Parameters
    ----------
    url : str
    patience : float
        Seconds.

    Raises
    ------
    ClusterError
        If the URL cannot be opened, such as for want of the package of its protocol.
    """

    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        import fsspec

        opened: Any = fsspec.core.url_to_fs  # without annotations
        try:
            self._fs, root = opened(url, use_listings_cache=False)  # other nodes write meanwhile
        except (ImportError, ValueError) as error:
            raise ClusterError(
                f"The store {url!r} cannot be opened ({error}). Give a URL that fsspec knows, and install the package "
                "of its protocol on every node (s3fs for s3://, gcsfs for gs://)."
            ) from error
        self._root, self.url, self._patience = str(root).rstrip("/"), url, patience
        self.reads = 0  # files that were fetched over the network
        protocol = self._fs.protocol
        self._renames = any(name in LOCAL for name in ((protocol,) if isinstance(protocol, str) else protocol))

    def check(self, sign: str) -> None:
        """Write, read and remove a file, so that a store that cannot be used is told before anything starts.

        Raises
        ------
        ClusterError
            With what the store says.
        """
        place = f"{self._root}/checks/{sign}"
        try:
            self._write(place, lambda to: self._fs.pipe_file(to, sign.encode()))
            read = self._fs.cat_file(place)
            self._fs.rm_file(place)
        except Exception as error:  # each protocol has errors of its own
            raise ClusterError(
                f"The store {self.url} cannot be written and read ({_line(error)}). Start it, or give another URL or "
                "other credentials, and run the same command again; nothing was started."
            ) from error
        if read != sign.encode():
            raise ClusterError(self._damaged(Path(place), "has other bytes than were stored"))

    def keep(self, home: Path, made: Mapping[str, str], job: str, unit: str) -> None:
        """Store files of a job's folder as those that a unit made, beside what it made when it ran before.

        Parameters
        ----------
        home : Path
            Folder of the job.
        made : mapping of str to str
            Name of each file → sha256 of its bytes.
        job, unit : str

        Raises
        ------
        StoreAwayError
            If the store does not answer.
        """
        record = self._named(job, unit) if self._exists(self._record(job, unit)) else {}
        for name, digest in sorted(made.items()):
            record[name] = digest
            place = self._blob(digest)
            if not self._exists(place):
                self._patiently(partial(self._write, place, partial(self._fs.put_file, str(home / name))))
        data = json.dumps(record, indent=2, sort_keys=True).encode()
        self._patiently(lambda: self._write(self._record(job, unit), lambda to: self._fs.pipe_file(to, data)))

    def units(self, job: str) -> list[str]:
        """Units of a job that are stored, by name."""
        folder = f"{self._root}/units/{job}"
        if not self._exists(folder):
            return []
        names = [PurePosixPath(str(path)).name for path in self._patiently(lambda: self._fs.ls(folder, detail=False))]
        return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))

    def fetch(
        self,
        home: Path,
        job: str,
        unit: str,
        wanted: Callable[[str], bool] = lambda _: True,
        cache: Path | None = None,
    ) -> dict[str, str]:
        """Bring files of a stored unit into a job's folder; those that are there already are not read again.

        Parameters
        ----------
        home : Path
        job, unit : str
        wanted : callable
            Which of its files, by name.
        cache : Path, optional
            Folder of files by their hash, in which files are looked for first, and what is fetched is kept.

        Returns
        -------
        dict
            Names of its files that are wanted → sha256.

        Raises
        ------
        ClusterError
            If a file is missing or its bytes are not those that were stored.
        StoreAwayError
            If the store does not answer.
        """
        record = self._named(job, unit)
        for name, digest in record.items():
            if not _inside(name):
                raise ClusterError(f"The store {self.url} names a file outside of its job, {name!r}: do not use it.")
            path = home / name
            if not wanted(name) or (path.is_file() and hash_file(path) == digest):
                continue
            if cache is None:
                self._read(digest, path)
            else:
                if not cached(cache, digest).is_file():
                    self._read(digest, cached(cache, digest))
                _copy(cached(cache, digest), path)
        return {name: digest for name, digest in record.items() if wanted(name)}

    def _named(self, job: str, unit: str) -> dict[str, str]:
        """Names of a unit's files with their hashes."""
        found: dict[str, str] = json.loads(self._patiently(lambda: self._fs.cat_file(self._record(job, unit))))
        return found

    def _exists(self, place: str) -> bool:
        """Whether a file or a folder is there; a store that does not answer says nothing of it."""

        def ask() -> bool:
            self._fs.invalidate_cache()
            try:
                self._fs.info(place)
            except FileNotFoundError:
                return False
            return True

        return self._patiently(ask)

    def _read(self, digest: str, path: Path) -> None:
        with atomic_path(path) as temporary:
            try:
                self._patiently(lambda: self._fs.get_file(self._blob(digest), str(temporary)))
            except FileNotFoundError as error:
                raise ClusterError(self._damaged(path, "is missing")) from error
            if hash_file(temporary) != digest:
                raise ClusterError(self._damaged(path, "has other bytes than were stored"))
        self.reads += 1

    def _patiently(self, ask: Callable[[], Found]) -> Found:
        """Ask the store until it answers."""
        end, (pause, longest) = time.monotonic() + self._patience, PAUSES
        while True:
            try:
                return ask()
            except LASTING:
                raise
            except Exception as error:  # each protocol has errors of its own
                if time.monotonic() + pause > end:
                    raise StoreAwayError(
                        f"The store {self.url} did not answer for {self._patience / 60:g} min ({_line(error)}). What "
                        "was stored is kept: when it answers again, run the same command again."
                    ) from error
                time.sleep(pause)
                pause = min(2 * pause, longest)

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


def cached(cache: Path, digest: str) -> Path:
    """Where a file of this hash lies in a folder of files by their hash."""
    return cache / digest[:2] / digest


def _copy(source: Path, target: Path) -> None:
    """A file of its own: what works with it may write to it."""
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
