"""Files and folders that are whole or absent; a disk that refuses is told in a paragraph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artefacts.format.error import PackageError
from foundation.files import atomic_path


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Tell of a path that cannot be written.

    Raises
    ------
    PackageError
        ``unwritable``: no permission, no room, a folder where a file should be.
    """
    try:
        yield
    except OSError as error:
        raise PackageError(
            "unwritable", f"{path} cannot be written ({error.strerror}); nothing was changed."
        ) from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``, which the body writes; renamed on success, removed on failure.

    Raises
    ------
    PackageError
        ``unwritable``.
    """
    with telling(path), atomic_path(path) as temporary:
        yield temporary
