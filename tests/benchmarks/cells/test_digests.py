"""A cell that was copied in part, or changed since, is told from a whole one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from benchmarks.cells.cell import Cell
from benchmarks.cells.digests import RECEIPT, content, damages, write_digests
from benchmarks.cells.seen import FILE, Seen, read_seen


def made(folder: Path, *, wall: float = 1.0, estimate: float = 0.5) -> Path:
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights").write_bytes(b"1234")
    cell = Cell("key", {"method": "mixture"}, cost={"wall_s": wall, "finished": f"{wall}"})
    cell.results.append({"metric": "acc@1", "estimate": estimate})
    cell.save(folder)
    write_digests(folder)
    return folder


def test_a_whole_cell_has_no_damages_with_a_receipt_or_without(tmp_path: Path) -> None:
    folder = made(tmp_path / "a")
    assert damages(folder) == []
    (folder / RECEIPT).write_text("{}")
    assert damages(folder) == []


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("model/weights", b"123", "model/weights is not what was written"),
        ("cell.json", b"{}", "cell.json is not what was written"),
        ("files.json", b'{"cell', "files.json is cut short"),
        ("more", b"", "more was added"),
    ],
)
def test_a_file_that_was_cut_or_added_is_named(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    folder = made(tmp_path / "a")
    (folder / name).write_bytes(data)
    assert damages(folder) == [told]


@pytest.mark.parametrize("name", ["model/weights", "cell.json", "files.json"])
def test_a_file_that_is_gone_is_named(tmp_path: Path, name: str) -> None:
    folder = made(tmp_path / "a")
    (folder / name).unlink()
    assert damages(folder) == [f"{name} is missing"]


def test_content_is_all_but_the_cost(tmp_path: Path) -> None:
    first, slower = made(tmp_path / "a"), made(tmp_path / "b", wall=2.0)
    other = made(tmp_path / "c", estimate=0.6)
    assert content(first) == content(slower) != content(other)


def test_what_a_cell_says_of_rows_that_choose_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    seen = Seen(torch.tensor([0.25, 0.5]), trials=(0, 1), own_bag=True, roles=("utility", "result"))
    found = set()
    for attempt in range(8):  # the library writes entries of its header in any order, so one at most may be there
        seen.save(tmp_path / str(attempt))
        found.add((tmp_path / str(attempt) / FILE).read_bytes())
    assert len(found) == 1
    with safe_open(tmp_path / "0" / FILE, framework="pt") as file:
        assert len(file.metadata()) == 1
    again = read_seen(tmp_path / "0")
    assert (again.trials, again.own_bag, again.roles) == (seen.trials, seen.own_bag, seen.roles)
    assert torch.equal(again.validation, seen.validation)
