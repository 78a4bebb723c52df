"""States on disk are those that the base computes, whoever asks; damage is noticed and the folder stays small."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from foundation.home import home
from llm_experts.bases.error import BaseError
from llm_experts.decoder import products
from llm_experts.decoder.layout import Scope
from llm_experts.reading.reader import Reader
from llm_experts.reading.state_store import FOLDER, LIMIT, StateStore, state_store
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.expert_fixtures import BASE, ROWS, SCM

WIDE = make_tiny_base(layers=2, hidden=256, scale=0.08)


def reader(scope: Scope = "full", start: int = 1) -> Reader:
    return Reader(WIDE, start=start, scope=scope, cache_bytes=0)


def asked(store: StateStore, through: Reader) -> tuple[Tensor, int]:
    """States of the rows, and how many texts were computed for them."""
    packed, computed = through.pack(SCM, ROWS), []

    def compute(some: Tensor) -> Tensor:
        computed.extend(some.tolist())
        return through.entry.states(packed.select(some))

    return store.states(through.entry, packed, compute), len(computed)


@pytest.mark.parametrize("scope", ["full", "suffix"])
def test_another_process_finds_what_was_computed(tmp_path: Path, scope: Scope) -> None:
    first, computed = asked(StateStore(tmp_path, 1 << 30), reader(scope))
    again, anew = asked(StateStore(tmp_path, 1 << 30), reader(scope))
    assert (computed, anew) == (len(ROWS), 0)
    assert torch.equal(first, again)


def test_what_computes_differently_is_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = StateStore(tmp_path, 1 << 30)
    asked(store, reader())
    other = Reader(dataclasses.replace(WIDE, hash="of other weights"), start=1)
    for through in (reader("suffix"), reader(start=0), other):
        assert asked(store, through)[1] == len(ROWS)
    here = products.products_here()
    monkeypatch.setattr(products, "products_here", lambda: "library" if here == "onednn" else "onednn")
    assert asked(store, reader())[1] == len(ROWS)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "another's"])
def test_damaged_files_are_made_anew(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    whole, _ = asked(StateStore(tmp_path, 1 << 30), reader())
    first, second = sorted(tmp_path.rglob("*.safetensors"))[:2]
    content = first.read_bytes()
    flipped = content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]
    first.write_bytes({"cut": content[:-7], "flipped": flipped, "empty": b"", "another's": second.read_bytes()}[damage])
    found, computed = asked(StateStore(tmp_path, 1 << 30), reader())
    assert computed == 1 and "made anew" in caplog.text
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-5)
    assert asked(StateStore(tmp_path, 1 << 30), reader())[1] == 0


def test_the_folder_stays_within_its_limit(tmp_path: Path) -> None:
    through = reader()
    asked(StateStore(tmp_path, 1 << 30), through)
    files = sorted(tmp_path.rglob("*.safetensors"))
    size = sum(path.stat().st_size for path in files)
    for age, path in enumerate(files):
        os.utime(path, (age, age))
    asked(StateStore(tmp_path, 1 << 30), through)  # reading is use
    assert all(path.stat().st_mtime > len(files) for path in files)
    limit = size - 1
    asked(StateStore(tmp_path, limit), reader("suffix"))
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors")) <= limit


def test_a_disk_that_takes_nothing_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder", encoding="utf-8")
    found, computed = asked(StateStore(blocked, 1 << 30), reader())
    assert computed == len(ROWS) and torch.isfinite(found).all()
    assert caplog.text.count("are not kept") == 1


def test_readers_of_wide_bases_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Reader(BASE, start=1).margins([None], SCM, ROWS)
    assert not (home() / FOLDER).exists()
    expected = reader().margins([None], SCM, ROWS)
    assert len(list((home() / FOLDER).rglob("*.safetensors"))) == len(ROWS)

    def refuse(*_: Any) -> Tensor:
        raise AssertionError("computed again")

    second = reader()
    monkeypatch.setattr(second.entry, "states", refuse)
    torch.testing.assert_close(second.margins([None], SCM, ROWS), expected, atol=1e-5, rtol=1e-5)


def test_the_limit_is_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "0")
    assert state_store() is None
    for wrong in ("much", "-1", "nan", "inf"):
        monkeypatch.setenv(LIMIT, wrong)
        with pytest.raises(BaseError, match=rf"{LIMIT}={wrong} is no size"):
            state_store()
