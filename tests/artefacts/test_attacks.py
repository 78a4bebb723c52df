"""What strangers may send: each is refused for its own reason, and nothing is written."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artefacts.format.archive import LIMITS, Limits, PackageError, open_package
from artefacts.format.canonical import canonical
from artefacts.format.tar import END, header
from artefacts.trust.keys import generate, load
from artefacts.trust.signature import sign
from artefacts.trust.store import TrustStore
from artefacts.trust.verify import verify
from tests.artefacts.making import (
    FACTS,
    FILES,
    WEIGHTS,
    archived,
    entry,
    forged,
    listing,
    one_tensor,
    packed,
    resealed,
    tensors,
)

BEFORE, AFTER = "aaa.txt", "zzz.txt"


def with_header(kind: bytes, name: str = AFTER, **fields: bytes) -> bytes:
    """The sound package with one more header, of another kind."""
    places = {"linkname": 157, "size": 124, "mode": 100, "uid": 108, "mtime": 136, "magic": 257, "spare": 500}
    block = bytearray(header("zzz.txt", 0))
    block[:100] = name.encode().ljust(100, b"\0")
    block[156:157] = kind
    for field, value in fields.items():
        block[places[field] : places[field] + len(value)] = value
    return forged()[: -len(END)] + resealed(bytes(block)) + END


def tarred(kind: int, *members: tuple[str, bytes, dict[str, Any]]) -> bytes:
    """What Python's tarfile makes of members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=kind) as archive:
        for name, data, settings in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in settings.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def named(name: str) -> bytes:
    return with_header(b"0", name)


def flipped(text: bytes) -> bytes:
    """The sound package with one bit of one byte, within ``text``, changed."""
    data = bytearray(forged())
    data[data.index(text) + len(text) // 2] ^= 1
    return bytes(data)


def weights(data: bytes, told: Any = None) -> bytes:
    name = "expert/weights.safetensors"
    return forged({**FILES, name: data}, told={name: told or {}})


def file(name: str, data: bytes) -> bytes:
    return forged({**FILES, name: data}, told={})


def manifest(text: bytes) -> bytes:
    return archived({**FILES, "manifest.json": text})


def said(**facts: Any) -> bytes:
    return forged(**facts)


def written(value: str) -> bytes:
    """A manifest with JSON put in as text."""
    facts = canonical({**FACTS, "description": "@", "files": listing(FILES)})
    return manifest(facts.replace(b'"@"', value.encode()))


PICKLE = pickle.dumps({"w": np.zeros(3)})
SPARSE = {"pax_headers": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9999999999"}}
GOOD = canonical({**FACTS, "files": listing(FILES)})
NAN16, NAN_B16 = b"\x00\x7e", b"\xc0\x7f"
ATTACKS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a flipped bit in weights": ("hash", lambda: flipped(WEIGHTS[-24:-16])),
    "a flipped bit in a weights' header": ("hash", lambda: flipped(b'"data_offsets":[0')),
    "a flipped bit in text": ("hash", lambda: flipped(b"Apache-2.0\n")),
    "a flipped bit in the manifest": ("hash", lambda: flipped(listing(FILES)["card.md"]["sha256"].encode())),
    "a flipped bit in a header": ("archive-header", lambda: flipped(b"0000644")),
    "a path that leads out": ("path-traversal", lambda: named("../evil.txt")),
    "a path that leads out in the middle": ("path-traversal", lambda: named("a/../../evil.txt")),
    "a path that leads out by backslashes": ("path-traversal", lambda: named("..\\evil.txt")),
    "an absolute path": ("path-absolute", lambda: named("/tmp/evil.txt")),
    "an absolute path of Windows": ("path-absolute", lambda: named("C:/evil.txt")),
    "an empty part of a path": ("file-name", lambda: named("a//evil.txt")),
    "this folder": ("file-name", lambda: named("./evil.txt")),
    "a hidden file": ("file-name", lambda: named(".evil.txt")),
    "a name that Windows cuts": ("file-name", lambda: named("evil.txt. /a.txt")),
    "a device of Windows": ("file-name", lambda: named("con.txt")),
    "a line end in a name": ("file-name", lambda: named("a\nb.txt")),
    "a name outside ASCII": ("file-name", lambda: named("caf\u00e9.txt")),
    "a name that is not UTF-8": ("file-name",
        lambda: forged()[: -len(END)] + resealed(b"\xff\xfe.txt".ljust(100, b"\0") + header("zzz.txt", 0)[100:]) + END),
    "an over-long part of a name": ("file-name-length", lambda: named("a" * 90 + ".txt")),
    "an over-deep name": ("file-name-length", lambda: named("a/" * 14 + "a.txt")),
    "a symbolic link": ("link-symbolic", lambda: with_header(b"2", linkname=b"/etc/passwd")),
    "a hard link": ("link-hard", lambda: with_header(b"1", linkname=b"LICENSE")),
    "a character device": ("device", lambda: with_header(b"3")),
    "a block device": ("device", lambda: with_header(b"4")),
    "a named pipe": ("fifo", lambda: with_header(b"6")),
    "a folder": ("folder", lambda: with_header(b"5", "zzz")),
    "a contiguous file": ("archive-header", lambda: with_header(b"7")),
    "an old file": ("archive-header", lambda: with_header(b"\0")),
    "a program's mode": ("archive-header", lambda: with_header(b"0", mode=b"0004755")),
    "an owner": ("archive-header", lambda: with_header(b"0", uid=b"0000001")),
    "a time": ("archive-header", lambda: with_header(b"0", mtime=b"00000000001")),
    "bytes in the spare part of a header": ("archive-header", lambda: with_header(b"0", spare=b"secret")),
    "a name twice": ("file-twice", lambda: archived(FILES)[: -len(END)] + entry("manifest.json", GOOD) * 2 + END),
    "a name twice but for case": ("file-twice", lambda: forged({**FILES, "CARD.md": b"x"})),
    "a file that is a folder too": ("file-twice", lambda: forged({"a.txt": b"x", "a.txt/b.txt": b"x"})),
    "files out of order": ("archive-order", lambda: entry("manifest.json", GOOD) + archived(FILES)),
    "a header of 10 GB": ("size-file", lambda: with_header(b"0", size=b"\x80" + (10 * 2**30).to_bytes(11, "big"))),
    "a header of 7 GB": ("size-file", lambda: with_header(b"0", size=b"67777777777\0")),
    "a size that is negative": ("size-file", lambda: with_header(b"0", size=b"\xff" * 12)),
    "a size that is no number": ("archive-header", lambda: with_header(b"0", size=b"0x000000001\0")),
    "a file beyond the end": ("truncated", lambda: with_header(b"0", size=b"00000100000\0")),
    "a sparse file of GNU": ("sparse", lambda: with_header(b"S", size=b"00000000000\0")),
    "a sparse file of PAX": ("pax", lambda: tarred(tarfile.PAX_FORMAT, ("a.txt", b"0\n", SPARSE))),
    "a PAX header that renames": ("pax",
        lambda: tarred(tarfile.PAX_FORMAT, ("a.txt", b"x", {"pax_headers": {"path": "../evil.txt"}}))),
    "a PAX header for all": ("pax", lambda: with_header(b"g")),
    "a long name of GNU": ("gnu-name", lambda: tarred(tarfile.GNU_FORMAT, ("a" * 200 + ".txt", b"x", {}))),
    "a tar of someone else": ("archive-header", lambda: tarred(tarfile.GNU_FORMAT, ("manifest.json", GOOD, {}))),
    "a compressed tar": ("archive-header", lambda: b"\x1f\x8b\x08" + bytes(2000)),
    "nothing": ("truncated", lambda: b""),
    "zeros": ("file-missing", lambda: END),
    "a cut in the middle": ("truncated", lambda: forged()[:3000]),
    "a cut at the end": ("truncated", lambda: forged()[:-1]),
    "a cut of a block at the end": ("truncated", lambda: forged()[:-512]),
    "a cut of both blocks at the end": ("truncated", lambda: forged()[:-1024]),
    "a byte after the end": ("trailing-bytes", lambda: forged() + b"\0"),
    "a package after the end": ("trailing-bytes", lambda: forged() + forged()),
    "another block after the first of zeros": ("trailing-bytes", lambda: forged()[:-512] + b"x" * 512),
    "bytes in the padding": ("archive-padding", lambda: forged().replace(b"Apache-2.0\n\0", b"Apache-2.0\nx")),
    "NaN among float32": ("not-a-number",
        lambda: weights(one_tensor("F32", [2], [0, 8], np.array([0, np.nan], "f4").tobytes()), {"F32": 2})),
    "infinity among float32": ("not-a-number",
        lambda: weights(one_tensor("F32", [2], [0, 8], np.array([0, -np.inf], "f4").tobytes()), {"F32": 2})),
    "NaN among float64": ("not-a-number",
        lambda: weights(one_tensor("F64", [1], [0, 8], np.array([np.nan]).tobytes()), {"F64": 1})),
    "NaN among float16": ("not-a-number", lambda: weights(one_tensor("F16", [2], [0, 4], b"\0\0" + NAN16), {"F16": 2})),
    "infinity among float16": ("not-a-number",
        lambda: weights(one_tensor("F16", [1], [0, 2], b"\x00\xfc"), {"F16": 1})),
    "NaN among bfloat16": ("not-a-number", lambda: weights(one_tensor("BF16", [1], [0, 2], NAN_B16), {"BF16": 1})),
    "infinity among bfloat16": ("not-a-number",
        lambda: weights(one_tensor("BF16", [1], [0, 2], b"\x80\xff"), {"BF16": 1})),
    "NaN among float8": ("not-a-number", lambda: weights(one_tensor("F8_E4M3", [1], [0, 1], b"\xff"), {"F8_E4M3": 1})),
    "infinity among float8": ("not-a-number",
        lambda: weights(one_tensor("F8_E5M2", [1], [0, 1], b"\x7c"), {"F8_E5M2": 1})),
    "a truth value of 2": ("not-a-number", lambda: weights(one_tensor("BOOL", [1], [0, 1], b"\x02"), {"BOOL": 1})),
    "a dtype that is wider": ("tensors-shape", lambda: weights(one_tensor("F64", [2], [0, 8], bytes(8)))),
    "a dtype that is unknown": ("tensors-dtype", lambda: weights(one_tensor("F31", [2], [0, 8], bytes(8)))),
    "a dtype that is not the manifest's": ("tensors-manifest",
        lambda: weights(one_tensor("I32", [2], [0, 8], bytes(8)), {"F32": 2})),
    "a shape that is larger": ("tensors-shape", lambda: weights(one_tensor("F32", [3], [0, 8], bytes(8)))),
    "a shape that overflows": ("tensors-shape", lambda: weights(one_tensor("F32", [2**62, 4, 2], [0, 0], b""))),
    "a shape that is negative": ("tensors-shape", lambda: weights(one_tensor("F32", [-2, -1], [0, 8], bytes(8)))),
    "a shape of truth values": ("tensors-shape", lambda: weights(one_tensor("F32", [True], [0, 4], bytes(4)))),
    "a gap between tensors": ("tensors-offsets", lambda: weights(one_tensor("F32", [1], [4, 8], bytes(8)))),
    "an overlap of tensors": ("tensors-offsets",
        lambda: weights(tensors({k: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for k in "ab"}, bytes(8)))),
    "a range beyond the file": ("tensors-offsets", lambda: weights(one_tensor("F32", [4], [0, 16], bytes(8)))),
    "a range backwards": ("tensors-offsets", lambda: weights(one_tensor("F32", [2], [8, 0], bytes(8)))),
    "bytes after the last tensor": ("tensors-offsets", lambda: weights(one_tensor("F32", [1], [0, 4], bytes(5)))),
    "a weights' header of 10 GB": ("tensors-header", lambda: weights((10 * 2**30).to_bytes(8, "little") + b"{}")),
    "a weights' header that is a list": ("tensors-header", lambda: weights(tensors(b"[]", b""))),
    "a weights' header with a name twice": ("json-duplicate-key", lambda: weights(tensors(b'{"a":{},"a":{}}', b""))),
    "a weights' file of 9 bytes": ("tensors-header", lambda: weights(bytes(9))),
    "metadata that are no texts": ("tensors-header", lambda: weights(tensors({"__metadata__": {"a": 1}}, b""))),
    "a pickle": ("file-type", lambda: file("model.pkl", PICKLE)),
    "a pickle called safetensors": ("pickle", lambda: weights(PICKLE)),
    "a pickle called json": ("pickle", lambda: file("model.json", PICKLE)),
    "a pickle called text": ("pickle", lambda: file("model.txt", PICKLE)),
    "a zip called text": ("pickle", lambda: file("model.txt", b"PK\x03\x04rest")),
    "an old pickle called json": ("json-syntax", lambda: file("model.json", pickle.dumps({"a": 1}, protocol=0))),
    "bytes called text": ("text", lambda: file("a.txt", b"\xff\xfe")),
    "half a letter at the end of text": ("text", lambda: file("a.txt", "é".encode()[:1])),
    "control signs in text": ("text", lambda: file("a.md", b"\x1b[2Jclear")),
    "code": ("file-type", lambda: file("model.py", b"import os")),
    "a page with scripts": ("file-type", lambda: file("card.html", b"<script>")),
    "a file without a kind": ("file-type", lambda: file("model", b"x")),
    "an unexpected file": ("file-unexpected", lambda: archived({**FILES, BEFORE: b"x", "manifest.json": GOOD})),
    "a missing file": ("file-missing",
        lambda: archived({**{k: v for k, v in FILES.items() if k != "card.md"}, "manifest.json": GOOD})),
    "no manifest": ("file-missing", lambda: archived(FILES)),
    "another size than the manifest's": ("size-manifest",
        lambda: archived({**FILES, "LICENSE": b"x", "manifest.json": GOOD})),
    "a look-alike name": ("name-look-alike", lambda: said(name="germ\u0430n-mlp")),
    "an over-long name": ("name-length", lambda: said(name="a" * 65)),
    "a name in capitals": ("name", lambda: said(name="German")),
    "a name like a path": ("name", lambda: said(name="../german")),
    "a version of two numbers": ("version", lambda: said(version="1.0")),
    "a version with a leading zero": ("version", lambda: said(version="1.02.3")),
    "a version with a line end": ("version", lambda: said(version="1.2.3\n")),
    "a range that is none": ("range", lambda: said(constraints={"requires": {"a": "=>1"}})),
    "a chain of eleven": ("manifest", lambda: said(constraints={"max_chain": 11})),
    "a manifest of another format": ("manifest-format", lambda: said(format="expert/2")),
    "an unknown field": ("manifest", lambda: said(run="rm -rf")),
    "a manifest that lists itself": ("manifest", lambda: forged({**FILES, "signature.json": b"{}"})),
    "a manifest that is not canonical": ("manifest-canonical", lambda: manifest(json.dumps(json.loads(GOOD)).encode())),
    "a default that is spelt out": ("manifest-canonical", lambda: said(adapters=[])),
    "a key twice in the manifest": ("json-duplicate-key", lambda: written('"a","description":"b"')),
    "NaN in the manifest": ("json-number", lambda: written("NaN")),
    "infinity in the manifest": ("json-number", lambda: written("-Infinity")),
    "a number too large in the manifest": ("json-number", lambda: written("1e999")),
    "a number of many digits in the manifest": ("json-number", lambda: written("9" * 5000)),
    "a manifest as deep as a well": ("json-depth", lambda: written("[" * 100_000 + "]" * 100_000)),
    "a manifest as deep as a well, in objects": ("json-depth", lambda: written('{"a":' * 5_000 + "1" + "}" * 5_000)),
    "half a surrogate in the manifest": ("json-invisible", lambda: written('"\\ud800"')),
    "signs that turn text round": ("json-invisible", lambda: said(description="a \u202e b")),
    "signs that steer a terminal": ("json-invisible", lambda: written('"\\u001b[2J"')),
    "a manifest that is not UTF-8": ("json-text", lambda: manifest(GOOD.replace(b"Ada", b"\xff"))),
    "a manifest with a byte-order mark": ("json-syntax", lambda: manifest(b"\xef\xbb\xbf" + GOOD)),
    "a manifest that is a list": ("manifest", lambda: manifest(b"[]")),
    "a manifest that is empty": ("json-syntax", lambda: manifest(b"")),
}  # fmt: skip


def tree(folder: Path) -> dict[str, bytes | None]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def refused(path: Path, limits: Limits = LIMITS) -> str:
    """The reason of the refusal to extract; nothing may have been written by it."""
    before = tree(path.parent)
    with pytest.raises(PackageError) as error, open_package(path, limits) as package:
        package.extract(path.parent / "out")
    assert tree(path.parent) == before
    assert str(error.value).endswith(f" [{error.value.reason}]")
    assert str(error.value).isprintable()
    return error.value.reason


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_for_its_reason_and_nothing_is_written(attack: str, tmp_path: Path) -> None:
    reason, make = ATTACKS[attack]
    path = tmp_path / "a.expert"
    path.write_bytes(make())
    assert refused(path) == reason
    with pytest.raises(PackageError) as error:
        verify(path, TrustStore(tmp_path))
    assert error.value.reason == reason


def test_without_an_attack_it_is_extracted(tmp_path: Path) -> None:
    path = tmp_path / "a.expert"
    path.write_bytes(forged())
    with open_package(path) as package:
        package.extract(tmp_path / "out")
    assert tree(tmp_path / "out") == {"expert": None, **FILES, "manifest.json": GOOD}


@pytest.mark.parametrize(
    ("reason", "limits"),
    [
        ("size-file", {"file": 10}),
        ("size-total", {"total": 200}),
        ("size-count", {"files": 4}),
        ("size-file", {"manifest": 100}),
        ("json-size", {"json": 5}),
        ("tensors-count", {"tensors": 1}),
        ("tensors-header", {"header": 50}),
    ],
)
def test_sizes_are_bounded(reason: str, limits: dict[str, int], tmp_path: Path) -> None:
    path = packed(tmp_path / "a.expert")
    assert refused(path, replace(LIMITS, **limits)) == reason


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.expert")
    for path in (tmp_path / "pipe.expert", tmp_path, tmp_path / "absent.expert", Path("/dev/zero")):
        with pytest.raises(PackageError) as error:
            open_package(path)
        assert error.value.reason == "unreadable"


def test_a_package_that_changes_after_its_check_is_not_written(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.expert")
    with open_package(path) as package:
        package.check()
        with path.open("r+b") as stream:  # the same file, not a new one of that name
            stream.seek(path.read_bytes().index(WEIGHTS) + len(WEIGHTS) - 1)
            stream.write(b"\x01")
        with pytest.raises(PackageError, match=r"\[hash\]"):
            package.extract(tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.expert", "a.folder"]


class TestSignatures:
    """Signatures that are not of this package."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> TrustStore:
        store = TrustStore(tmp_path / "home")
        store.add(generate(tmp_path / "key"), "Ada")
        generate(tmp_path / "other")
        return store

    def signed(self, folder: Path, key: str = "key", **facts: Any) -> Path:
        path = packed(folder / f"{facts.get('name', 'german-mlp')}-{key}.expert", **facts)
        sign(path, load(folder / key))
        return path

    def with_signature(self, path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
        with open_package(path) as package:
            files = {name: package.read(name) for name in package.names}
        facts = json.loads(files["signature.json"])
        change(facts)
        path.write_bytes(archived({**files, "signature.json": canonical(facts)}))
        return path

    def test_the_right_one_is_trusted(self, tmp_path: Path, store: TrustStore) -> None:
        verdict = verify(self.signed(tmp_path), store)
        assert (verdict.status, verdict.by) == ("trusted", ("Ada",))

    def test_a_flipped_bit(self, tmp_path: Path, store: TrustStore) -> None:
        def flip(facts: dict[str, Any]) -> None:
            text = facts["signatures"][0]["signature"]
            facts["signatures"][0]["signature"] = ("A" if text[0] != "A" else "B") + text[1:]

        assert verify(self.with_signature(self.signed(tmp_path), flip), store).status == "invalid"

    def test_a_changed_word_in_the_manifest(self, tmp_path: Path, store: TrustStore) -> None:
        path = self.signed(tmp_path)
        path.write_bytes(path.read_bytes().replace(b"Says who repays.", b"Says who repayz."))
        assert verify(path, store).status == "invalid"

    def test_another_role(self, tmp_path: Path, store: TrustStore) -> None:
        path = self.with_signature(self.signed(tmp_path), lambda f: f["signatures"][0].update(role="auditor"))
        assert verify(path, store).status == "invalid"

    def test_another_key_under_a_trusted_name(self, tmp_path: Path, store: TrustStore) -> None:
        assert verify(self.signed(tmp_path, "other"), store).status == "unknown"
        trusted = store.list()[0].key
        path = self.with_signature(self.signed(tmp_path, "other"), lambda f: f["signatures"][0].update(key=trusted))
        assert verify(path, store).status == "invalid"

    def test_that_of_another_package(self, tmp_path: Path, store: TrustStore) -> None:
        first, second = self.signed(tmp_path), self.signed(tmp_path, name="credit-mlp")
        with open_package(first) as package:
            theirs = json.loads(package.read("signature.json"))
        assert verify(self.with_signature(second, lambda f: f.update(theirs)), store).status == "invalid"

    def test_none(self, tmp_path: Path, store: TrustStore) -> None:
        assert verify(packed(tmp_path / "a.expert"), store).status == "unsigned"

    @pytest.mark.parametrize(
        "change",
        [
            lambda f: f.update(format="expert-signature/2"),
            lambda f: f.update(signatures=[]),
            lambda f: f.update(signatures=f["signatures"] * 2),
            lambda f: f["signatures"][0].update(more=1),
            lambda f: f["signatures"][0].update(role="Author"),
            lambda f: f["signatures"][0].update(key="ed25519:AAAA"),
            lambda f: f["signatures"][0].update(signature="AAAA"),
            lambda f: f["signatures"][0].update(signature=None),
        ],
    )
    def test_what_is_no_signature(self, change: Callable[[Any], object], tmp_path: Path, store: TrustStore) -> None:
        assert verify(self.with_signature(self.signed(tmp_path), change), store).status == "invalid"

    def test_a_valid_one_beside_an_invalid_one(self, tmp_path: Path, store: TrustStore) -> None:
        def add(facts: dict[str, Any]) -> None:
            facts["signatures"].append({**facts["signatures"][0], "role": "auditor"})

        path = self.with_signature(self.signed(tmp_path), add)
        assert verify(path, store).status == "invalid"
        with pytest.raises(PackageError, match="does not hold"):
            sign(path, load(tmp_path / "key"))
