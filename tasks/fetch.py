"""The published bytes of a data set: from the mirror, the cache or the network, always checked."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol, cast
from urllib.parse import urlsplit

from foundation.files import atomic_path
from foundation.hashing import hash_file
from tasks.archive import MOST, ArchiveError, open_member
from tasks.card import DataError, SourceFile

MIRROR = "FAIRMOE_DATA_MIRROR"
"""Environment variable: folder laid out as ``<mirror>/<file.mirror>``, read before anything else."""
CACHE = "FAIRMOE_CACHE"
"""Environment variable: folder of checked files; default: the user's cache folder."""
BLOCK = 1 << 20


class FetchError(DataError):
    """A file of a data set cannot be had, or is not the one that the card describes."""


class Published(Protocol):
    """What has published files: a card, or a set of texts that is no table."""

    @property
    def name(self) -> str:
        """Name in messages."""
        ...

    @property
    def file(self) -> tuple[SourceFile, ...]:
        """Its files."""
        ...

    @property
    def folder(self) -> Path | None:
        """Where files without a url lie; None: nowhere."""
        ...


def cache_folder() -> Path:
    """Where checked files are kept: ``FAIRMOE_CACHE``, else the user's cache folder."""
    if os.environ.get(CACHE):
        return Path(os.environ[CACHE])
    return Path(_pooch().os_cache("fairmoe"))


def _pooch() -> Any:
    """The download library, which exports its names without saying so."""
    import pooch

    return pooch


def cache_path(file: SourceFile) -> Path:
    """Where a checked copy of ``file`` lies (or is put by hand); the same file of two cards is kept once."""
    return cache_folder() / file.sha256[:12] / PurePosixPath(file.name).name


def fetch(
    card: Published, *, roles: tuple[str, ...] = ("table",), progress: bool = True, retries: int = 2
) -> dict[str, Path]:
    """Checked local paths of a card's files, by name; what is missing is downloaded.

    The order is: mirror, the folder of the card (files without a url), cache, network.

    Parameters
    ----------
    roles : tuple of str
        Which files: of role "table", "edges", "documentation".
    progress : bool
        Show a progress bar while downloading.
    retries : int
        Further attempts of a failed download.

    Raises
    ------
    FetchError
        If a file cannot be had or its sha256 differs: which file, url and sha256, and where to put it by hand.
    """
    return {f.name: _fetch_file(card, f, progress, retries) for f in card.file if f.role in roles}


def available(card: Published, role: str = "table") -> bool:
    """Whether the files of a role are on this machine (mirror, card folder or cache); does not check their bytes."""
    return all(_local(card, file) is not None for file in card.file if file.role == role)


def edited(card: Published) -> str:
    """What is wrong with a table of the user's own that is not the one of its card; empty if all are."""
    for file in card.file:
        own = _beside_card(card, file)
        if file.role == "table" and _mirror_path(file) is None and own is not None:
            try:
                _unchanged(card, file, own)
            except FetchError as error:
                return str(error)
    return ""


def _mirror_path(file: SourceFile) -> Path | None:
    folder = os.environ.get(MIRROR)
    if not folder or not file.mirror:
        return None
    path = Path(folder) / file.mirror
    return path if path.is_file() else None


def _beside_card(card: Published, file: SourceFile) -> Path | None:
    if file.url or card.folder is None:
        return None
    path = card.folder / file.name
    return path if path.is_file() else None


def _local(card: Published, file: SourceFile) -> Path | None:
    cached = cache_path(file)
    return _mirror_path(file) or _beside_card(card, file) or (cached if cached.is_file() else None)


def _fetch_file(card: Published, file: SourceFile, progress: bool, retries: int) -> Path:
    mirrored = _mirror_path(file)
    if mirrored is not None and mirrored.suffix == ".gz" and not file.name.endswith(".gz"):
        return _unpack_mirrored(card, file, mirrored)
    if mirrored is not None:
        return _verified(card, file, mirrored)
    own = _beside_card(card, file)
    if own is not None:
        return _unchanged(card, file, own)
    cached = cache_path(file)
    if cached.is_file():
        return _verified(card, file, cached)
    return _download(card, file, progress, retries)


def _unpack_mirrored(card: Published, file: SourceFile, mirrored: Path) -> Path:
    cached = cache_path(file)
    if cached.is_file() and hash_file(cached) == file.sha256:  # the same bytes: no need to unpack them again
        return cached
    try:
        with gzip.open(mirrored) as stream:
            return _store(card, file, cast(IO[bytes], stream), str(mirrored))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _refusal(card, file, f"{mirrored} is not a whole gzip file ({error})") from error


def _verified(card: Published, file: SourceFile, path: Path) -> Path:
    found = hash_file(path)
    if found != file.sha256:
        raise _refusal(card, file, f"{path} ({path.stat().st_size} bytes) has sha256 {found}")
    return path


def _unchanged(card: Published, file: SourceFile, path: Path) -> Path:
    """A file of the user's own, which lies beside its card: whoever edits it means to."""
    found, size = hash_file(path), path.stat().st_size
    if found != file.sha256:
        raise FetchError(
            f"{card.name}: {path} is not the file that the card describes: it has sha256 {found} and {size} bytes, the "
            f"card says sha256 {file.sha256} and {file.bytes} bytes. If it was changed on purpose, write sha256 = "
            f'"{found}", bytes = {size} and the number of its rows into the card, which fairmoe data card '
            f"CARD --refresh does, or draft the card again (fairmoe data card {path.name} --force); otherwise "
            "put the earlier file back."
        )
    return path


def _store(card: Published, file: SourceFile, stream: IO[bytes], origin: str) -> Path:
    """Copy at most the declared bytes into the cache; the name appears only if the sha256 is right."""
    target = cache_path(file)
    digest, size = hashlib.sha256(), 0
    with _writable(card, file), atomic_path(target) as temporary:
        with temporary.open("wb") as out:
            while block := stream.read(BLOCK):
                size += len(block)
                if size > file.bytes:
                    raise _refusal(card, file, f"{origin} holds more than the {file.bytes} bytes of the published file")
                digest.update(block)
                out.write(block)
        if digest.hexdigest() != file.sha256:
            raise _refusal(card, file, f"{origin} ({size} bytes) has sha256 {digest.hexdigest()}")
    return target


class _writable:
    """Turn a refused write into an error that says where and what to do."""

    def __init__(self, card: Published, file: SourceFile) -> None:
        self._card, self._file = card, file

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
            raise _refusal(
                self._card, self._file, f"writing under {cache_folder()} failed ({error}); {CACHE} names another folder"
            ) from error


def _download(card: Published, file: SourceFile, progress: bool, retries: int) -> Path:
    if not file.url:
        raise _refusal(card, file, "it is not on this machine and has no address to download it from")
    if urlsplit(file.url).scheme not in ("http", "https"):
        raise _refusal(card, file, "only http and https addresses are downloaded")
    import requests

    pooch = _pooch()

    name = cache_path(file).name
    known = None if file.member else f"sha256:{file.sha256}"
    if file.member:  # one archive may hold several files: keep it under its address
        name = hashlib.sha256(file.url.encode()).hexdigest()[:12] + "-" + PurePosixPath(urlsplit(file.url).path).name
    folder = cache_folder() / "archives" if file.member else cache_path(file).parent
    pooch.get_logger().setLevel("ERROR")
    store = pooch.create(folder, base_url="", registry={name: known}, urls={name: file.url}, retry_if_failed=retries)
    downloader = _Downloader(f"{card.name}/{file.name}" if progress else "", MOST if file.member else file.bytes)
    try:
        path = Path(store.fetch(name, downloader=downloader))
    except (requests.RequestException, OSError, ValueError) as error:
        raise _refusal(card, file, f"the download failed ({' '.join(str(error).split())})") from error
    return _extract(card, file, path) if file.member else path


def _extract(card: Published, file: SourceFile, archive: Path) -> Path:
    try:
        with open_member(archive, file.member, file.bytes) as stream:
            return _store(card, file, stream, f"{file.member} in the archive")
    except (ArchiveError, FetchError) as error:
        archive.unlink(missing_ok=True)  # the next attempt downloads it again
        if isinstance(error, FetchError):
            raise
        raise _refusal(card, file, str(error)) from error


def _refusal(card: Published, file: SourceFile, reason: str) -> FetchError:
    place = cache_path(file)
    source = file.url or "no public address"
    if file.member:
        source += f" (member {file.member})"
    beside = f" or beside the card as {card.folder / file.name}" if not file.url and card.folder else ""
    return FetchError(
        f"{card.name}: the file {file.name} cannot be used: {reason}. Expected are {file.bytes} bytes with sha256 "
        f"{file.sha256} from {source}. Delete a wrong copy; if the download cannot work here, get the file by hand "
        f"and put it at {place}{beside}, or set {MIRROR} to a folder that has it as {file.mirror or file.name}."
    )


class _Downloader:
    """Called by pooch: stream one address to a file, at most ``limit`` bytes, with a progress bar if it has a label."""

    def __init__(self, label: str, limit: int) -> None:
        self._label, self._limit = label, limit

    def __call__(self, url: str, output: str | Path, _store: object) -> None:
        import requests
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with (
            requests.get(url, stream=True, timeout=60) as response,
            Progress(*columns, transient=True, disable=not self._label) as progress,
            Path(output).open("wb") as out,
        ):
            response.raise_for_status()
            length = response.headers.get("content-length", "")
            task = progress.add_task(self._label, total=int(length) if length.isdigit() else None)
            size = 0
            for block in response.iter_content(BLOCK):
                size += len(block)
                if size > self._limit:
                    raise ValueError(f"the server sends more than {self._limit} bytes")
                out.write(block)
                progress.update(task, completed=size)
