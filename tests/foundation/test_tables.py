"""Tables in files of TOML or JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.tables import TableError, read_table

BOTH = (".toml", ".json")
DIGITS = "1" * 5000
"""More than Python reads as a number."""


@pytest.mark.parametrize(("name", "text"), [("a.toml", "b = [1, 2]\n"), ("a.json", '{"b": [1, 2]}')])
def test_tables_of_both_kinds_are_read(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert read_table(tmp_path / name, BOTH) == {"b": [1, 2]}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.toml", b"b = ", "a.toml is no valid TOML: .* Mend the file"),
        ("a.toml", f"b = {DIGITS}".encode(), "a.toml is no valid TOML: .*digits"),
        ("a.toml", b"b = '\xff'", "a.toml is no valid TOML: .*utf-8"),
        ("a.json", b"{", "a.json is no valid JSON"),
        ("a.json", b"[" * 100_000, "a.json is no valid JSON: .*recursion"),
        ("a.json", b"[1]", "a.json holds a list; write a table"),
        ("a.yaml", b"b: 1", r"a.yaml cannot .* must end in \.toml or \.json\."),
    ],
)
def test_what_holds_no_table_is_named(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match=words):
        read_table(tmp_path / name, BOTH)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"There is no file .*none\.toml; give the path of a TOML file\."):
        read_table(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(TableError, match=r"folder\.toml cannot be read: Is a directory\."):
        read_table(tmp_path / "folder.toml")
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(TableError, match=r"must end in \.toml\.$"):
        read_table(tmp_path / "a.json", (".toml",))


def test_a_file_of_any_name_is_toml(tmp_path: Path) -> None:
    for name in ("a.json", "a"):
        (tmp_path / name).write_text("b = 1\n")
        assert read_table(tmp_path / name) == {"b": 1}
