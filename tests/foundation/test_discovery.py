"""Rooms whose files are found: what a room holds, what a plug-in folder adds, what is read without an import."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.discovery import PLUGINS, DiscoveryError, facts, items, load


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(PLUGINS, str(tmp_path))
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_that_defines_the_name_is_an_item_and_no_other(plugins: Path) -> None:
    room = "benchmarks.methods.baselines"
    before = items(room, "METHOD")
    write(plugins / "benchmarks/methods/baselines/zz_coin.py", "METHOD = dict(label='Coin')\n")
    write(plugins / "benchmarks/methods/baselines/zz_helper.py", "OTHER = 1\n")
    assert "lightgbm" in before
    assert list(items(room, "METHOD")) == [*before, "zz_coin"]


def test_a_plug_in_is_imported_as_a_member_of_the_room(plugins: Path) -> None:
    write(plugins / "foundation/zz_item.py", "ITEM = {'answer': 42}\n")
    assert load("foundation", "ITEM", "zz_item") == {"answer": 42}


def test_an_item_of_several_files_is_a_folder(plugins: Path) -> None:
    write(plugins / "foundation/zz_folder/__init__.py", "ITEM = dict(label='several')\n")
    write(plugins / "foundation/zz_folder/part.py", "ITEM = 1\n")
    write(plugins / "foundation/__init__.py", "ITEM = 1\n")
    assert items("foundation", "ITEM") == {"zz_folder": plugins / "foundation/zz_folder/__init__.py"}
    assert load("foundation", "ITEM", "zz_folder") == {"label": "several"}


def test_literals_are_read_without_running_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "m.py", "import no_such_library\nMETHOD = Baseline(label='x', graph=True, fit=fit)\n")
    assert facts(path, "METHOD") == {"label": "x", "graph": True}
    assert facts(path, "ELSE") == {}


def test_a_plug_in_never_replaces_a_file(plugins: Path) -> None:
    write(plugins / "foundation/files.py", "ITEM = 1\n")
    with pytest.raises(DiscoveryError, match=r"files\.py already"):
        items("foundation", "ITEM")


def test_what_cannot_be_used_is_named(plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = write(plugins / "foundation/zz_broken.py", "ITEM = (\n")
    with pytest.raises(DiscoveryError, match=broken.name):
        items("foundation", "ITEM")
    broken.unlink()
    with pytest.raises(DiscoveryError, match="no 'nothing' in foundation"):
        load("foundation", "ITEM", "nothing")
    monkeypatch.setenv(PLUGINS, str(plugins / "gone"))
    with pytest.raises(DiscoveryError, match="no folder"):
        items("foundation", "ITEM")
