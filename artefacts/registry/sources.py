"""What a user can name to install: a file, a folder, a Git repository, or a name with a range of versions."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from artefacts.format.archive import pack
from artefacts.format.names import Range, check_name
from artefacts.registry.choosing.resolve import Requirement
from artefacts.registry.error import RegistryError, offline_error
from artefacts.registry.git import check_out, commit_of, split_url
from foundation.progress import Tell, silent

SUFFIX = ".expert"


@dataclass(frozen=True)
class Given:
    """A package that the user gave.

    Attributes
    ----------
    path : Path
        Its file.
    location : str
        Where it came from, for the record.
    """

    path: Path
    location: str


def read_source(text: str, scratch: Path, watch: Tell = silent, *, offline: bool = False) -> Requirement | Given:
    """Understand one argument of ``fairmoe install``.

    Parameters
    ----------
    text : str
        ``FILE``, ``DIR``, ``git+URL[@ref]`` or ``NAME[@RANGE]``.
    scratch : Path
        An existing folder for what has to be fetched or packed.
    watch : Tell
    offline : bool
        Ask no network: a repository must be on this machine.

    Raises
    ------
    RegistryError
        ``no-package``: nothing of that kind is there; ``offline``; and the errors of Git addresses.
    PackageError
        For a name or a range that is none.
    """
    if text.startswith("git+"):
        return _from_git(text, scratch, watch, offline)
    path = Path(text)
    if path.is_file():
        return Given(path, path.resolve().as_uri())
    if path.is_dir():
        return Given(_one_package(path, scratch), path.resolve().as_uri())
    if text.endswith(SUFFIX) or "/" in text:
        raise RegistryError(
            "no-package",
            f"There is no file or folder {text}. A name of an index is written without '/' and without {SUFFIX}.",
        )
    name, _, versions = text.partition("@")
    return Requirement(check_name(name), Range.parse(versions or "*").text)


def given_at(location: str, scratch: Path, watch: Tell = silent, *, offline: bool = False) -> Path | None:
    """The package at a location that :func:`read_source` told once; None if nothing is there any more.

    Raises
    ------
    RegistryError
        As for :func:`read_source`.
    """
    place = urlsplit(location)
    if location.startswith("git+"):
        return _from_git(location, scratch, watch, offline).path
    path = Path(url2pathname(place.path))
    if place.scheme != "file" or place.netloc or not path.exists():
        return None
    return path if path.is_file() else _one_package(path, scratch)


def _from_git(text: str, scratch: Path, watch: Tell, offline: bool) -> Given:
    url, ref = split_url(text)
    if offline and urlsplit(url).scheme != "file":
        raise offline_error("The repository", url)
    watch(url, 0, 0)
    commit = commit_of(url, ref)
    folder = scratch / "repository"
    check_out(url, commit, folder)
    return Given(_one_package(folder, scratch), f"git+{url}@{commit}")


def _one_package(folder: Path, scratch: Path) -> Path:
    """The package file of a folder, packed when the folder is an open package."""
    files: Sequence[Path] = sorted(folder.glob(f"*{SUFFIX}"))
    if (folder / "manifest.json").is_file():
        target = scratch / f"packed{SUFFIX}"
        pack(_without_git(folder, scratch), target)
        return target
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise RegistryError(
            "no-package",
            f"{folder} is no package (it has no manifest.json), nor does it hold a single {SUFFIX} file: {names}. "
            "Give the file that you want.",
        )
    return files[0]


def _without_git(folder: Path, scratch: Path) -> Path:
    """A copy without the files of Git, when there are any."""
    if not (folder / ".git").exists():
        return folder
    copy = scratch / "open"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(".git"), symlinks=True)
    return copy
