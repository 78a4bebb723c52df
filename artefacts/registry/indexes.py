"""The indexes that this user installs from, in the order in which they are asked."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from artefacts.registry.durable import sync, write_durably, write_json_durably
from artefacts.registry.error import RegistryError
from artefacts.registry.git import check_out, commit_of, split_url
from artefacts.registry.index import Index
from foundation.progress import Tell, silent


@dataclass(frozen=True)
class Source:
    """An index that is asked.

    Attributes
    ----------
    name : str
        What the user calls it.
    url : str
        A folder, ``git+file://…`` or ``git+https://…[@ref]``.
    priority : int
        Larger is asked first; a name is taken from the first index that has it, and from no other.
    """

    name: str
    url: str
    priority: int = 0


class Indexes:
    """The user's list of indexes.

    Parameters
    ----------
    root : Path
        The registry's folder.
    watch : Tell
    """

    def __init__(self, root: Path, watch: Tell = silent) -> None:
        self._watch = watch
        self._file, self._copies = root / "indexes.json", root / "indexes"

    def sources(self) -> tuple[Source, ...]:
        """All, the first asked first."""
        if not self._file.exists():
            return ()
        return tuple(Source(**found) for found in json.loads(self._file.read_text(encoding="utf-8")))

    def add(self, source: Source, *, offline: bool = False) -> Index:
        """Add an index, or change the one of that name.

        Raises
        ------
        RegistryError
            If it cannot be read, or its name is no word.
        """
        if not source.name.replace("-", "").replace("_", "").isalnum() or source.name.startswith("-"):
            raise RegistryError("bad-index-name", f"{source.name!r} is no name for an index: use letters and digits.")
        index = self.open(source, offline=offline)
        others = [known for known in self.sources() if known.name != source.name]
        self._write([*others, source])
        return index

    def remove(self, name: str) -> Source:
        """Forget an index; what was installed from it stays.

        Raises
        ------
        RegistryError
            ``unknown-index``.
        """
        known = self.sources()
        for source in known:
            if source.name == name:
                self._write([other for other in known if other is not source])
                shutil.rmtree(self._copy(source), ignore_errors=True)
                return source
        raise RegistryError(
            "unknown-index", f"There is no index {name!r}; there are: {', '.join(s.name for s in known) or 'none'}."
        )

    def open_all(self, *, offline: bool = False) -> list[Index]:
        """All indexes as they are now; with ``offline`` as they were when last read."""
        return [self.open(source, offline=offline) for source in self.sources()]

    def open(self, source: Source, *, offline: bool = False) -> Index:
        """One index, fetched when it lies in a Git repository and has changed.

        Raises
        ------
        RegistryError
            ``no-index``, ``git-unreachable``, ``git-unknown-ref``, ``not-read-yet``.
        """
        if not source.url.startswith("git+"):
            return Index(Path(source.url), source.name)
        url, ref = split_url(source.url)
        copy = self._copy(source)
        current = copy / "current"
        if offline:
            if not current.exists():
                raise RegistryError("not-read-yet", f"The index {source.name} was never read; do it once online.")
            return Index(copy / current.read_text().strip(), source.name)
        self._watch(f"the index {source.name}", 0, 0)
        commit = commit_of(url, ref)
        if not (copy / commit).is_dir():
            self._fetch(url, commit, copy)
        if not current.exists() or current.read_text() != commit:
            write_durably(current, commit.encode())
        for old in copy.iterdir():
            if old.is_dir() and old.name != commit:
                shutil.rmtree(old)
        return Index(copy / commit, source.name)

    def _fetch(self, url: str, commit: str, copy: Path) -> None:
        copy.mkdir(parents=True, exist_ok=True)
        fresh = copy / f"tmp-{uuid.uuid4().hex}"
        try:
            check_out(url, commit, fresh)
            fresh.rename(copy / commit)
            sync(copy)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _copy(self, source: Source) -> Path:
        return self._copies / hashlib.sha256(source.url.encode()).hexdigest()[:24]

    def _write(self, sources: list[Source]) -> None:
        ordered = sorted(sources, key=lambda source: (-source.priority, source.name))
        write_json_durably(self._file, [asdict(source) for source in ordered])
