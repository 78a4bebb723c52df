"""Hashes of JSON and of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from foundation.hashing import hash_file, hash_json


def test_json_hashes_do_not_depend_on_the_order_of_keys() -> None:
    assert hash_json({"a": 1, "b": [2, "x"]}) == hash_json({"b": [2, "x"], "a": 1})
    assert hash_json({"a": 1}) != hash_json({"a": 2})
    assert hash_json([]) == "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"


def test_a_file_hashes_as_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\x00text\n" * 100_000)
    assert hash_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()
