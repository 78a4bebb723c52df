"""The published bytes: every wrong file is refused with a text that says what to do."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tasks.archive import ArchiveError, open_member
from tasks.card import Card
from tasks.fetch import FetchError, available, cache_path, fetch
from tests.tasks.toys import own_card, toy_table

BYTES = b"x,sex,y\n" + b"".join(b"%d,%s,%d\n" % (i, b"fm"[i % 2 : i % 2 + 1], i % 3 == 0) for i in range(60))
SHA = hashlib.sha256(BYTES).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRMOE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FAIRMOE_DATA_MIRROR", str(tmp_path / "mirror"))
    (tmp_path / "mirror").mkdir()
    (tmp_path / "web").mkdir()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "web")))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def card(**file: Any) -> Card:
    return Card.model_validate(
        {
            "name": "toy",
            "title": "toy",
            "description": "toy.",
            "licence": "none",
            "citation": "none",
            "rows": 60,
            "file": [{"name": "toy.csv", "sha256": SHA, "bytes": len(BYTES), "mirror": "toy/toy.csv.gz", **file}],
            "column": [{"name": "x", "kind": "numeric", "text": "x"}, {"name": "sex", "kind": "binary", "text": "sex"}],
            "label": {"column": "y", "positive": {"equals": [1]}, "meaning": "one", "negative_meaning": "zero"},
            "sensitive": [
                {
                    "name": "sex",
                    "column": "sex",
                    "groups": [{"name": "female", "equals": ["f"]}, {"name": "male", "equals": ["m"]}],
                }
            ],
            "default_sensitive": "sex",
        }
    )


def mirrored(tmp_path: Path, data: bytes, name: str = "toy/toy.csv.gz") -> Path:
    path = tmp_path / "mirror" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def get(c: Card) -> Path:
    return fetch(c, progress=False, retries=0)["toy.csv"]


def assert_helps(text: str, c: Card) -> None:
    """One paragraph with the file, its sha256, and the place to put it by hand."""
    assert "\n" not in text
    for word in ("toy.csv", SHA, str(len(BYTES)), str(cache_path(c.file[0])), "FAIRMOE_DATA_MIRROR"):
        assert word in text


def test_a_gzipped_mirror_is_unpacked_once_into_the_cache(tmp_path: Path) -> None:
    c = card()
    assert not available(c)
    mirrored(tmp_path, gzip.compress(BYTES))
    assert available(c)
    path = get(c)
    assert path.read_bytes() == BYTES and path == cache_path(c.file[0])
    assert get(c) == path


def test_a_plain_mirror_is_read_in_place_and_before_the_cache(tmp_path: Path) -> None:
    c = card(mirror="toy/toy.csv")
    cache_path(c.file[0]).parent.mkdir(parents=True)
    cache_path(c.file[0]).write_bytes(BYTES)
    path = mirrored(tmp_path, BYTES, "toy/toy.csv")
    assert get(c) == path


def test_a_file_put_by_hand_is_used(tmp_path: Path) -> None:
    c = card(url="http://127.0.0.1:9/never")
    cache_path(c.file[0]).parent.mkdir(parents=True)
    cache_path(c.file[0]).write_bytes(BYTES)
    assert get(c).read_bytes() == BYTES


@pytest.mark.parametrize("where", ["mirror", "gzip", "cache"])
def test_a_forged_file_is_refused(tmp_path: Path, where: str) -> None:
    forged = BYTES.replace(b"f", b"m", 1)
    c = card(mirror="toy/toy.csv" if where == "mirror" else "toy/toy.csv.gz")
    if where == "cache":
        cache_path(c.file[0]).parent.mkdir(parents=True)
        cache_path(c.file[0]).write_bytes(forged)
    else:
        mirrored(tmp_path, gzip.compress(forged) if where == "gzip" else forged, c.file[0].mirror)
    with pytest.raises(FetchError) as error:
        get(c)
    assert_helps(str(error.value), c)
    assert hashlib.sha256(forged).hexdigest() in str(error.value)
    assert where == "cache" or not cache_path(c.file[0]).exists()


def test_a_truncated_gzip_is_refused(tmp_path: Path) -> None:
    mirrored(tmp_path, gzip.compress(BYTES)[:-30])
    with pytest.raises(FetchError, match="not a whole gzip file") as error:
        get(card())
    assert_helps(str(error.value), card())
    assert not cache_path(card().file[0]).exists()


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    mirrored(tmp_path, gzip.compress(bytes(50_000_000)))
    with pytest.raises(FetchError, match="holds more than"):
        get(card())
    assert not list((tmp_path / "cache").rglob("*.csv*"))


def test_no_address_and_no_copy(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="no address") as error:
        get(card())
    assert_helps(str(error.value), card())


def test_other_schemes_are_not_downloaded() -> None:
    with pytest.raises(FetchError, match="only http"):
        get(card(url="file:///etc/hostname"))


def test_download(tmp_path: Path, web: str) -> None:
    (tmp_path / "web" / "toy.csv").write_bytes(BYTES)
    c = card(url=f"{web}/toy.csv")
    assert fetch(c, progress=True)["toy.csv"].read_bytes() == BYTES
    (tmp_path / "web" / "toy.csv").unlink()
    assert get(c).read_bytes() == BYTES, "the second time it comes from the cache"


@pytest.mark.parametrize(
    ("page", "reason"), [(b"<html>404: it moved</html>", "hash|sha256"), (None, "404"), (BYTES[:-9], "hash|sha256")]
)
def test_html_pages_missing_pages_and_half_files_are_refused(
    tmp_path: Path, web: str, page: bytes | None, reason: str
) -> None:
    if page is not None:
        (tmp_path / "web" / "toy.csv").write_bytes(page)
    c = card(url=f"{web}/toy.csv")
    with pytest.raises(FetchError, match=reason) as error:
        get(c)
    assert_helps(str(error.value), c)
    assert f"{web}/toy.csv" in str(error.value)
    assert not cache_path(c.file[0]).exists()


def test_no_network_is_said() -> None:
    with pytest.raises(FetchError, match="download failed"):
        get(card(url="http://127.0.0.1:9/toy.csv"))


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize(
    ("archive", "member"),
    [
        (zipped({"readme": b"hi", "in/toy.csv": BYTES}), "in/toy.csv"),
        (zipped({"inner.zip": zipped({"toy.csv": BYTES})}), "inner.zip!toy.csv"),
        (zipped({"inner.tar.gz": tarred({"a": b"b", "toy.csv": BYTES})}), "inner.tar.gz!toy.csv"),
        (tarred({"toy.csv": BYTES}, "w"), "toy.csv"),
    ],
)
def test_members_of_archives(tmp_path: Path, web: str, archive: bytes, member: str) -> None:
    (tmp_path / "web" / "all.bin").write_bytes(archive)
    assert get(card(url=f"{web}/all.bin", member=member)).read_bytes() == BYTES


def lying_zip() -> bytes:
    """A zip whose directory declares the right size for a member that unpacks to far more."""
    data = bytes(1_000_000)
    raw = bytearray(zipped({"toy.csv": data}))
    real, said = len(data).to_bytes(4, "little"), len(BYTES).to_bytes(4, "little")
    return bytes(raw.replace(real, said))


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (zipped({"toy.csv": BYTES, "../evil": b"x"}), "unsafe path"),
        (zipped({"toy.csv": BYTES, "/etc/evil": b"x"}), "unsafe path"),
        (tarred({"../toy.csv": BYTES}), "unsafe path"),
        (zipped({"toy.csv": BYTES + b"\n"}), "declares"),
        (tarred({"toy.csv": BYTES + b"\n"}), "declares"),
        (zipped({"other.csv": BYTES}), "no member"),
        (tarred({"other.csv": BYTES}), "no member"),
        (zipped({"toy.csv": BYTES.replace(b"f", b"m", 1)}), "has sha256"),
        (zipped({"toy.csv": BYTES})[:-20], "damaged"),
        (tarred({"toy.csv": BYTES})[:-20], "damaged|sha256"),
        (b"<html>not an archive</html>", "damaged"),
        (lying_zip(), "damaged|sha256|holds more"),
    ],
)
def test_bad_archives_are_refused_and_not_kept(tmp_path: Path, web: str, archive: bytes, reason: str) -> None:
    (tmp_path / "web" / "all.zip").write_bytes(archive)
    c = card(url=f"{web}/all.zip", member="toy.csv")
    with pytest.raises(FetchError, match=reason) as error:
        get(c)
    assert_helps(str(error.value), c)
    assert not list((tmp_path / "cache" / "archives").iterdir()) and not cache_path(c.file[0]).exists()


def test_links_in_archives_are_no_members(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("toy.csv")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(entry)
    path = tmp_path / "a.tar"
    path.write_bytes(out.getvalue())
    with pytest.raises(ArchiveError, match="not a plain file"), open_member(path, "toy.csv", 1):
        pass


def test_an_own_file_that_was_edited_is_told_how_to_update_the_card(tmp_path: Path) -> None:
    card_of_mine = own_card(tmp_path, toy_table(40).to_csv(index=False))
    edited = toy_table(40).assign(hours=1.0).to_csv(index=False).encode()
    (tmp_path / "own.csv").write_bytes(edited)
    with pytest.raises(FetchError) as error:
        fetch(card_of_mine)
    for word in (
        hashlib.sha256(edited).hexdigest(),
        f"bytes = {len(edited)}",
        "rows",
        "draft the card again",
        "--force",
    ):
        assert word in str(error.value)
    assert "Delete" not in str(error.value) and "\n" not in str(error.value)
