"""Stored tables: byte for byte the task that memory would hold, whole or absent, with a sample that is a task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.streaming.measured import made_table
from foundation.hashing import hash_file
from tasks.card import DataError, load_card
from tasks.drafting import survey
from tasks.drafting.draft import draft
from tasks.formats.arrow import surveyed_parquet
from tasks.load import load_task
from tasks.stored import chunks
from tasks.stored.table import MANIFEST, StoredTable
from tasks.stored.writing import Storing, store_table
from tasks.task import HIDDEN, Task
from tests.tasks.toys import toml_of, toy_card, toy_table


@pytest.fixture(autouse=True)
def _small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, and chunks that cut tables in several."""
    monkeypatch.setenv("FAIRMOE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 333)


def parquet_card(folder: Path, table: pd.DataFrame, **changes: object) -> Path:
    """A toy card over Parquet files of 600 rows each."""
    files = []
    for start in range(0, len(table), 600):
        path = folder / f"part-{start:04}.parquet"
        table.iloc[start : start + 600].to_parquet(path, index=False)
        files.append({"name": path.name, "sha256": hash_file(path), "bytes": path.stat().st_size})
    card = toy_card(rows=len(table), read={"format": "parquet"}, **changes)
    data = {**card.model_dump(mode="json", exclude_defaults=True), "file": files}
    (folder / "card.toml").write_text(toml_of(data), encoding="utf-8")
    return folder / "card.toml"


def same(stored: StoredTable, task: Task) -> None:
    """All that a stored table says is what the task in memory says."""
    assert stored.hash == task.hash
    assert stored.encoder.to_json() == task.encoder.to_json()
    assert stored.group_names == task.group_names
    everything = stored.view(np.arange(len(stored)))
    assert everything.features.numpy().tobytes() == task.features.numpy().tobytes()
    assert set(everything.labels.tolist()) == {HIDDEN}
    assert torch.equal(stored.labels_of(everything.rows.numpy()), task.labels)
    assert torch.equal(everything.groups, task.groups)
    assert stored.facts["split_hash"] == task.split.hash
    for part in ("train", "validation", "test"):
        assert stored.rows_of(part).tolist() == getattr(task.split, part).tolist()
    assert stored.facts["left"] == task.left


@pytest.mark.parametrize("use_sensitive", ["keep", "drop"])
@pytest.mark.parametrize("attributes", ["sex", "sex+race", "age"])
def test_it_is_the_task_of_memory(tmp_path: Path, attributes: str, use_sensitive: str) -> None:
    """Several files, words for missing, a log, rows that leave, intersections: the same bytes and the same hash."""
    table = toy_table(1500)
    table.loc[:20, "y"] = 7
    card = parquet_card(tmp_path, table, keep=[{"column": "y", "below": 5, "why": "no outcome"}])
    name = f"{card}:{attributes}"
    task = load_task(name, split=1, seed=3, use_sensitive=use_sensitive)
    stored = store_table(Storing(name, split=1, seed=3, use_sensitive=use_sensitive, validation_rows=100, test_rows=50))
    same(stored, task)


def test_the_sample_is_a_task(tmp_path: Path) -> None:
    """Rows of validation and test with features, raw columns and moves to other groups as in the whole task."""
    card = parquet_card(tmp_path, toy_table(1500))
    task = load_task(str(card))
    sample = store_table(Storing(str(card), validation_rows=100, test_rows=50)).sample
    rows = sample.rows
    assert [len(sample.split.train), len(sample.split.validation), len(sample.split.test)] == [0, 100, 50]
    assert set(rows[:100].tolist()) <= set(task.split.validation.tolist())
    assert set(rows[100:].tolist()) <= set(task.split.test.tolist())
    assert torch.equal(sample.features, task.features[rows])
    assert torch.equal(sample.labels, task.labels[rows])
    assert sample.text(torch.arange(150)) == task.text(rows)
    assert sample.flip is not None and task.flip is not None
    assert torch.equal(sample.flip.values, task.flip.values)
    moved, whole = sample.moved_to(1), task.moved_to(1)
    assert torch.equal(moved.features, whole.features[rows])
    assert moved.text(torch.arange(150)) == whole.text(rows)
    counts = torch.bincount(sample.labels[:100] * 2 + sample.groups[:100], minlength=4) / 100
    shares = torch.bincount(task.labels[task.split.validation] * 2 + task.groups[task.split.validation]) / 375
    assert torch.allclose(counts, shares, atol=0.015)


def test_many_words_share_a_feature(tmp_path: Path) -> None:
    """More than 64 words: the rarer ones share one feature, ties by the order of words."""
    table = toy_table(1200)
    table["job"] = [f"job {k % 90}" for k in np.random.default_rng(0).permutation(1200)]
    card = parquet_card(tmp_path, table)
    same(store_table(Storing(str(card))), load_task(str(card)))


def test_it_is_written_once_and_checked(tmp_path: Path) -> None:
    """The second time nothing is encoded; a damaged file is named; another seed is another table."""
    card = parquet_card(tmp_path, toy_table(700))
    told: list[str] = []
    stored = store_table(Storing(str(card)), lambda what, *_: told.append(what))
    assert list(dict.fromkeys(told)) == ["labels and groups", "statistics of training rows", "encoding"]
    told.clear()
    assert store_table(Storing(str(card)), lambda what, *_: told.append(what)).folder == stored.folder
    assert told == []
    assert store_table(Storing(str(card), seed=1)).folder != stored.folder
    damaged = bytearray((stored.folder / "numbers.bin").read_bytes())
    damaged[5] ^= 1
    (stored.folder / "numbers.bin").write_bytes(bytes(damaged))
    with pytest.raises(DataError, match=r"numbers\.bin of an encoded table is missing or damaged"):
        store_table(Storing(str(card)))
    (stored.folder / "codes.bin").write_bytes(b"")
    with pytest.raises(DataError, match="encoded anew"):
        StoredTable.open(stored.folder, load_card(card), verify=False).features(np.arange(3))


def test_a_killed_writing_leaves_nothing(tmp_path: Path) -> None:
    """What is not finished is not there."""
    card = parquet_card(tmp_path, toy_table(700))

    def stop(what: str, done: int, _: int) -> None:
        if what == "encoding" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store_table(Storing(str(card)), stop)
    assert list((tmp_path / "home" / "tables").iterdir()) == []
    assert (store_table(Storing(str(card))).folder / MANIFEST).is_file()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"read": {"format": "csv"}}, "write them as Parquet"),
        ({"split_unit": "job"}, "its split keeps the rows of one job together"),
    ],
)
def test_what_cannot_be_read_in_passes(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    card = load_card(parquet_card(tmp_path, toy_table(700)))
    with pytest.raises(DataError, match=words):
        chunks.refuse_unstreamed(card.model_copy(update=_models(card, changes)), "robust")


def _models(card: object, changes: dict[str, object]) -> dict[str, object]:
    from tasks.card import Read

    return {k: Read.model_validate(v) if k == "read" else v for k, v in changes.items()}


def test_errors_of_data_name_what_is_wrong(tmp_path: Path) -> None:
    """A number of rows that is not the card's, three values of a binary column in different chunks."""
    card = parquet_card(tmp_path, toy_table(700))
    text = card.read_text(encoding="utf-8")
    card.write_text(text.replace("rows = 700", "rows = 701"), encoding="utf-8")
    with pytest.raises(DataError, match="have 700 rows, the card says 701"):
        store_table(Storing(str(card)))
    table = toy_table(700)
    table["sex"] = np.where(
        np.arange(700) < 350, np.where(np.arange(700) % 2, "F", "M"), np.where(np.arange(700) % 2, "F", "X")
    )
    other = parquet_card(tmp_path, table)
    with pytest.raises(DataError, match="declared binary but holds F, M, X"):
        store_table(Storing(f"{other}:race"))


def test_numbers_far_from_zero(tmp_path: Path) -> None:
    """Sums about a value of the column: a mean of 1e9 with a deviation of 1 loses nothing."""
    table = toy_table(1500)
    table["hours"] = 1e9 + np.random.default_rng(0).standard_normal(1500)
    column = [c.model_copy(update={"log": False}) for c in toy_card().column]
    card = parquet_card(tmp_path, table, column=[c.model_dump() for c in column])
    same(store_table(Storing(str(card))), load_task(str(card)))


def test_made_tables(tmp_path: Path) -> None:
    """What tests of memory are made of is a task like any other."""
    card = made_table(tmp_path, 2000, chunk=512)
    stored = store_table(Storing(str(card), validation_rows=200, test_rows=50))
    same(stored, load_task(str(card)))
    blocks = list(stored.blocks("test", 128))
    assert torch.equal(torch.cat([b.rows for b in blocks]), torch.from_numpy(stored.rows_of("test")))


def test_a_large_file_is_drafted_from_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows from all over the file say what its columns are; the card has the number of all rows and can be stored."""
    made_table(tmp_path, 4000, chunk=250)
    monkeypatch.setattr(survey, "MOST_ROWS", 800)
    text = draft(tmp_path / "big.parquet").text
    assert "rows = 4000" in text
    (tmp_path / "big.card.toml").write_text(text, encoding="utf-8")
    stored = store_table(Storing(str(tmp_path / "big.card.toml"), validation_rows=50, test_rows=50))
    assert len(stored) == 4000
    found, rows = surveyed_parquet(tmp_path / "big.parquet", 800)
    assert (len(found), rows) == (800, 4000)
    assert len(surveyed_parquet(tmp_path / "big.parquet", 4000)[0]) == 4000
