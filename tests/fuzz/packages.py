"""Packages and manifests from strangers: edits of sound ones, whose headers and hashes are often put right again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from artefacts.format.archive import open_package, pack
from artefacts.format.canonical import canonical
from artefacts.format.manifest import parse_manifest
from artefacts.format.tar import END
from artefacts.trust.signature import signatures_of
from tests.artefacts.making import FACTS, FILES, WEIGHTS, archived, forged, listing, resealed

WEIGHTS_FILE = "expert/weights.safetensors"
Edit = Callable[[bytes, int, int], bytes]
SIGNED = {
    "format": "expert-signature/1",
    "signatures": [{"key": "ed25519:" + "A" * 43 + "=", "role": "author", "signature": "A" * 86 + "=="}],
}
MANIFEST = canonical(
    {
        **FACTS,
        "adapters": [],
        "base": {"name": "nano", "sha256": "0" * 64},
        "constraints": {"requires": {"other": "^1.2", "more": ">=1,<2"}, "max_chain": 3},
        "fairness": {"suite": "quick", "metrics": {"dp_gap": {"estimate": 0.1, "low": 0, "high": 1e-7}}},
        "inputs": {"columns": [{"kind": "categorical", "name": "job", "categories": ["cook", "é"]}]},
        "provenance": {"params": {"lr": 1e-4, "deep": [[1], {"a": None}]}, "seed": -1},
        "files": listing(FILES),
    }
)
WORDS = (
    b"NaN", b"-Infinity", b"1e999", b"-0", b"1.0", b"1E5", b"9007199254740993", b"9" * 500, b"null", b"true",
    b"[]", b"{}", b'""',
    b'"\\ud800"', b'"\\u0000"', b'"\xe2\x80\xae"', b'"../a.txt"', b'"a/b.safetensors"', b'"expert/2"', b'"1.2.3-rc.1"',
    b'"^1.x"', b"[" * 40 + b"]" * 40, b'"\xff"', b'"name"', b'"files"', b'"german-mlp"', b" ", b"\n", b'{"a":1,"a":1}',
)  # fmt: skip
CELLS = (
    b"\0", b"\xff" * 8, b"0", b"1", b"2", b"5", b"x", b"S", b"../", b"/", b"00000000001", b"77777777777",
    b"\x80", b"{", b"}", b"\0" * 512,
    b"ustar  \0", b"F64", b"BF16", b"BOOL", b"[0,0]", b"[-1]", b"\x80\x04\x95", b"PK\x03\x04",
    b"\x00\x00\xc0\x7f", b"Z" * 512,
)  # fmt: skip


def _value(data: bytes, place: int, choice: int) -> bytes:
    """Another word in place of one between signs of JSON."""
    ends = [i for i, sign in enumerate(data) if sign in b',:{}[]"']
    start = ends[place % len(ends)] + 1 if ends else 0
    stop = next((end for end in ends if end >= start), len(data))
    return data[:start] + WORDS[choice % len(WORDS)] + data[stop:]


def _whole(data: bytes, place: int, choice: int) -> bytes:
    """Another value of a key, of whatever kind."""
    colons = [i for i, sign in enumerate(data) if sign == ord(":")]
    start = colons[place % len(colons)] + 1 if colons else 0
    stop = next((i for i in range(start, len(data)) if data[i] in b",}"), len(data))
    return data[:start] + WORDS[choice % len(WORDS)] + data[stop:]


def _flip(data: bytes, place: int, choice: int) -> bytes:
    at = place % max(len(data), 1)
    return data[:at] + bytes([data[at] ^ (1 << choice % 8)]) + data[at + 1 :] if data else data


def _put(data: bytes, place: int, choice: int) -> bytes:
    """Other bytes over what is there, a multiple of which starts where fields do."""
    word = CELLS[choice % len(CELLS)]
    at = place % (len(data) + 1)
    return data[:at] + word + data[at + len(word) :]


def _field(data: bytes, place: int, choice: int) -> bytes:
    """Other bytes in a field of a header."""
    fields = (0, 100, 108, 116, 124, 136, 148, 156, 157, 257, 263, 265, 329, 345, 500)
    blocks = max(len(data) // 512, 1)
    return _put(data, 512 * (place % blocks) + fields[place // blocks % len(fields)], choice)


def _cut(data: bytes, place: int, choice: int) -> bytes:
    at = place % (len(data) + 1)
    return data[:at] + data[at + 1 + choice % 1500 :]


def _blocks(data: bytes, place: int, choice: int) -> bytes:
    """Leave out, repeat or move a block."""
    blocks = [data[i : i + 512] for i in range(0, len(data), 512)] or [b""]
    block = blocks.pop(place % len(blocks))
    at = choice % (len(blocks) + 1)
    return b"".join([*blocks[:at], *[block] * (choice % 3), *blocks[at:]])


def _reseal(data: bytes, place: int, choice: int) -> bytes:
    """The right checksum in a block, and so in a header that was edited before."""
    at = 512 * (place % max(len(data) // 512, 1))
    block = data[at : at + 512]
    return data[:at] + resealed(block) + data[at + 512 :] if len(block) == 512 else data


def _reseal_all(data: bytes, place: int, choice: int) -> bytes:
    return resealed_all(data)


def resealed_all(data: bytes) -> bytes:
    """The right checksum in every header."""
    for at in range(0, len(data) - 511, 512):
        if data[at + 257 : at + 262] == b"ustar":
            data = data[:at] + resealed(data[at : at + 512]) + data[at + 512 :]
    return data


TEXT_EDITS: tuple[Edit, ...] = (_value, _whole, _whole, _flip, _cut)
BYTE_EDITS: tuple[Edit, ...] = (_flip, _put, _field, _cut, _blocks, _reseal, _reseal_all, _reseal_all)


def _edited(corpus: st.SearchStrategy[bytes], edits: tuple[Edit, ...], most: int) -> st.SearchStrategy[bytes]:
    steps = st.lists(st.tuples(st.sampled_from(edits), st.integers(0, 1 << 16), st.integers(0, 1 << 12)), max_size=most)

    def make(data: bytes, chosen: list[tuple[Edit, int, int]]) -> bytes:
        for edit, place, choice in chosen:
            data = edit(data, place, choice)[:100_000]
        return data

    return st.builds(make, corpus, steps)


@cache
def sound() -> tuple[bytes, ...]:
    """Packages that are accepted."""
    return (
        forged(),
        forged({**FILES, "a.csv": b"x,y\n"}),
        archived({"manifest.json": canonical({**FACTS, "files": {}})}),
    )


def holding(name: str, data: bytes) -> bytes:
    """A package one of whose files is anything, with a manifest that agrees."""
    files = {**FILES, name: data}
    manifest = data if name == "manifest.json" else canonical({**FACTS, "files": listing(FILES | _listed(name, data))})
    return archived({**files, "manifest.json": manifest})


def _listed(name: str, data: bytes) -> dict[str, bytes]:
    return {} if name in ("manifest.json", "signature.json") else {name: data}


MANIFESTS = _edited(st.sampled_from((MANIFEST, canonical({**FACTS, "files": listing(FILES)}))), TEXT_EDITS, 5)
PACKAGES = (
    _edited(st.deferred(lambda: st.sampled_from(sound())), BYTE_EDITS, 6)
    | st.builds(holding, st.just(WEIGHTS_FILE), _edited(st.just(WEIGHTS), (*TEXT_EDITS, _put), 4))
    | st.builds(
        holding, st.sampled_from(("a.json", "b.txt")), _edited(st.just(FILES["expert/expert.json"]), TEXT_EDITS, 3)
    )
    | st.builds(holding, st.just("signature.json"), _edited(st.just(canonical(SIGNED)), TEXT_EDITS, 3))
    | st.builds(holding, st.just("manifest.json"), MANIFESTS)
    | st.binary(max_size=300).map(lambda data: data + END)
)


def read_manifest(data: bytes, folder: Path) -> None:
    """Read a manifest; one that is accepted is its own canonical form's."""
    found = parse_manifest(data)
    again = parse_manifest(found.canonical())
    assert again == found
    assert again.canonical() == found.canonical()
    json.loads(found.canonical())


def read_package(data: bytes, folder: Path) -> None:
    """Open, check and extract a package; one that is accepted is, byte by byte, what packing its files makes."""
    path, out = folder / "a.expert", folder / "out"
    path.write_bytes(data)
    shutil.rmtree(out, ignore_errors=True)
    with open_package(path) as package:
        package.check()
        signatures_of(package)
        package.extract(out)
    pack(out, folder / "b.expert")
    assert (folder / "b.expert").read_bytes() == data
