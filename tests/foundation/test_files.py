"""A file is whole or absent, whatever happens while it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.files import atomic_path, write_json, write_text


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "old\n")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_bytes() == b"old\n"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_a_folder_replaces_the_one_before(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with atomic_path(tmp_path / "made") as temporary:
            temporary.mkdir()
            (temporary / name).touch()
    assert [p.name for p in (tmp_path / "made").iterdir()] == ["second"]


def test_json_is_sorted_and_holds_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": None})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": null,\n  "b": 1\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "b.json", float("nan"))
    assert not (tmp_path / "b.json").exists()
