"""Installed bytes, each once: blobs named by their sha256, and trees of packages that link to them.

A tree appears whole by one rename and never changes, so what names it (the record of installations) decides alone what
is installed. Whoever writes holds the registry's lock; what a killed process left is in ``tmp`` or named by nothing.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from artefacts.registry.durable import sync
from artefacts.registry.error import RegistryError
from foundation.hashing import hash_file

NO_LINKS = {errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}
"""A file system that cannot link, or not once more: the file is copied."""


class Store:
    """Blobs and trees below a folder.

    Parameters
    ----------
    root : Path
        The registry's folder; made when something is added.
    """

    def __init__(self, root: Path) -> None:
        self._blobs, self._trees, self._temporary = root / "blobs", root / "packages", root / "tmp"

    def tree(self, digest: str) -> Path:
        """Folder of a package by the sha256 of its file."""
        return self._trees / digest

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A new folder on the same file system; gone afterwards."""
        folder = self._temporary / uuid.uuid4().hex
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # what stays is swept by the next writer

    def add(self, folder: Path, digest: str) -> Path:
        """Take over the files of a scratch folder as the tree of a package.

        Parameters
        ----------
        folder : Path
            Made by :meth:`scratch`; plain files and folders only.
        digest : str
            sha256 of the package's file.

        Returns
        -------
        Path
            The tree: files that are links to blobs, of mode 0444.
        """
        target = self.tree(digest)
        if target.is_dir():  # trees come by rename: it is whole, unless somebody changed it
            if _same(folder, target):
                return target
            shutil.rmtree(target)
        folders = {path.parent for path in _files(folder)}
        for path in _files(folder):
            self._share(path)
        for parent in folders:
            sync(parent)
        self._trees.mkdir(exist_ok=True)
        folder.rename(target)
        sync(self._trees)
        return target

    def _share(self, path: Path) -> None:
        """Replace a file by a link to the blob with its bytes, which it becomes when there is none."""
        digest = hash_file(path)
        blob = self._blobs / digest[:2] / digest
        path.chmod(0o444)
        if blob.exists() and hash_file(blob) == digest:
            with self.scratch() as folder:
                twin = folder / "twin"
                if _link(blob, twin):
                    twin.replace(path)
                    return
            sync(path)
            return
        sync(path)
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.unlink(missing_ok=True)  # damaged: its tree is mended when its package is installed again
        if not _link(path, blob):
            return  # no links here: the tree keeps its own bytes
        sync(blob.parent)

    def sweep(self, keep: Collection[str]) -> int:
        """Remove what no kept package names.

        Parameters
        ----------
        keep : collection of str
            Digests of the packages that stay.

        Returns
        -------
        int
            Bytes of blobs removed.
        """
        shutil.rmtree(self._temporary, ignore_errors=True)
        for tree in _entries(self._trees):
            if tree.name not in keep:
                shutil.rmtree(tree)
        freed = 0
        for shelf in _entries(self._blobs):
            for blob in _entries(shelf):
                facts = blob.stat()
                if facts.st_nlink == 1:
                    freed += facts.st_size
                    blob.unlink()
            if not any(shelf.iterdir()):
                shelf.rmdir()
        return freed


def check_tree(tree: Path, files: dict[str, str], name: str) -> None:
    """Hash the files of an installed package again.

    Parameters
    ----------
    tree : Path
        Its folder.
    files : dict of str to str
        Path in the package to sha256.
    name : str
        For the message.

    Raises
    ------
    RegistryError
        ``installed-damaged``: a file is missing or has other bytes.
    """
    for path, digest in files.items():
        file = tree / path
        if not file.is_file() or hash_file(file) != digest:
            raise RegistryError(
                "installed-damaged",
                f"The installed package {name} has been changed: {file} "
                f"{'has other bytes' if file.exists() else 'is missing'}. Install it again from its file, or uninstall "
                "it first.",
            )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _same(first: Path, second: Path) -> bool:
    names = [[str(path.relative_to(folder)) for path in _files(folder)] for folder in (first, second)]
    return names[0] == names[1] and all(hash_file(first / name) == hash_file(second / name) for name in names[0])


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return False
    return True
