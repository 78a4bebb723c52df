"""Three passes over a card's Parquet files: rows and split, statistics of training rows, encoded rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import torch

from foundation.files import atomic_path, write_json, write_text
from foundation.hashing import hash_file, hash_json
from foundation.home import home
from foundation.progress import Tell, silent
from foundation.seeding import torch_generator
from tasks.card import Card
from tasks.encode import Encoder, make_flip
from tasks.fetch import fetch
from tasks.frame import RawData, feature_frame
from tasks.registry import resolve, row_cap, task_name
from tasks.split import make_split
from tasks.stored.chunks import raw_chunks, refuse_unstreamed
from tasks.stored.packing import Packing
from tasks.stored.skeleton import read_skeleton, stacked
from tasks.stored.statistics import EncoderFit
from tasks.stored.table import ARRAYS, ENCODER, MANIFEST, PARTS, SAMPLE, StoredTable
from tasks.task import Split, task_hash
from tasks.thinning import thinned

VERSION = 1
"""Of the files; part of a folder's name."""
VALIDATION_ROWS = 20_000
TEST_ROWS = 500
"""Rows of the sample: validation rows choose checkpoints, test rows are explained; stratified by label x group."""


@dataclass(frozen=True)
class Storing:
    """What a stored table is made of; its folder is named by the hash of all of it."""

    name: str
    protocol: str = "robust"
    split: int = 0
    seed: int = 0
    use_sensitive: str = "keep"
    validation_rows: int = VALIDATION_ROWS
    test_rows: int = TEST_ROWS

    def folder(self, card: Card, attributes: tuple[str, ...]) -> Path:
        """Where the table lies: in the user's folder of fairmoe."""
        files = [file.sha256 for file in card.file]
        own = {**dataclasses.asdict(self), "name": task_name(self.name)}
        return home() / "tables" / hash_json({"card": card.hash, "files": files, "attributes": list(attributes),
                                              "version": VERSION, **own})[:24]  # fmt: skip

    def is_stored(self, card: Card, attributes: tuple[str, ...]) -> bool:
        """Whether the table was written before."""
        return (self.folder(card, attributes) / MANIFEST).is_file()


def store_table(wanted: Storing, progress: Tell = silent) -> StoredTable:
    """The encoded table of a task: found where it was written before, else written now.

    Memory holds a chunk of raw rows, and of all rows label, group, part and a few numbers that the split needs while
    it is made (about 130 bytes per row).

    Parameters
    ----------
    wanted : Storing
    progress : callable, optional
        Told of raw rows.

    Raises
    ------
    CardError, DataError, FetchError
        If the name, the card or the data are wrong, or the table cannot be read in passes.
    """
    card, attributes = resolve(wanted.name)
    refuse_unstreamed(card, wanted.protocol, row_cap(wanted.name))
    folder = wanted.folder(card, attributes)
    if not wanted.is_stored(card, attributes):
        files = fetch(card, progress=False)
        with atomic_path(folder) as temporary:
            temporary.mkdir(parents=True)
            _write(temporary, wanted, card, attributes, files, progress)
        return StoredTable.open(folder, card, verify=False)
    return StoredTable.open(folder, card)


def _write(
    folder: Path, wanted: Storing, card: Card, attributes: tuple[str, ...], files: Mapping[str, Path],
    progress: Tell,
) -> None:  # fmt: skip
    progress("labels and groups", 0, card.rows)
    raw = read_skeleton(card, attributes, files)
    progress("labels and groups", card.rows, card.rows)
    split = make_split(raw, wanted.protocol, wanted.split, wanted.seed)
    parts = np.full(len(raw.rows), len(PARTS), dtype=np.uint8)
    for number, name in enumerate(PARTS):
        parts[getattr(split, name).numpy()] = number
    source = _Typed(card, files, raw.rows, progress)
    encoder = _fit(source, raw, parts, wanted)
    sampled = _sample(raw, split, wanted)
    _write_rows(folder, source, Packing(encoder), sampled)
    for name, array in (("labels", raw.labels), ("groups", raw.groups), ("parts", parts), ("sampled", sampled)):
        (folder / f"{name}.bin").write_bytes(array.astype(ARRAYS[name]).tobytes())
    write_text(folder / ENCODER, encoder.to_json())
    _write_manifest(folder, wanted, raw, split, encoder, sampled)


@dataclass(frozen=True)
class _Typed:
    """The rows of the task with typed features, a chunk at a time."""

    card: Card
    files: Mapping[str, Path]
    rows: np.ndarray  # [n] raw row of each row of the task
    progress: Tell

    def chunks(self, what: str) -> Iterator[tuple[int, pd.DataFrame]]:
        """First row of the task and typed features, of each chunk."""
        start, first = 0, 0
        for chunk in raw_chunks(self.card, self.files, [column.name for column in self.card.column]):
            stop = start + len(chunk)
            end = int(np.searchsorted(self.rows, stop))
            held = self.rows[first:end] - start
            table = chunk if len(held) == len(chunk) else chunk.iloc[held].reset_index(drop=True)
            yield first, feature_frame(self.card, table)
            start, first = stop, end
            self.progress(what, stop, self.card.rows)


def _fit(source: _Typed, raw: RawData, parts: np.ndarray, wanted: Storing) -> Encoder:
    fit = EncoderFit(raw.card, raw.attributes, wanted.protocol, wanted.use_sensitive)
    for first, frame in source.chunks("statistics of training rows"):
        fit.add(frame, parts[first : first + len(frame)] == 0)
    return fit.encoder()


def _sample(raw: RawData, split: Split, wanted: Storing) -> np.ndarray:
    """[s] int64 rows of the sample: validation rows, then test rows."""
    labels, groups = torch.from_numpy(raw.labels), torch.from_numpy(raw.groups)
    chosen = []
    for rows, size, words in (
        (split.validation, wanted.validation_rows, "validation sample"),
        (split.test, wanted.test_rows, "explained rows"),
    ):
        places = thinned(labels[rows], groups[rows], size, torch_generator(wanted.seed, words))
        chosen.append(rows[places].numpy())
    return np.concatenate(chosen)


def _write_rows(folder: Path, source: _Typed, packing: Packing, sampled: np.ndarray) -> None:
    kept = []
    numbers: BinaryIO
    with (folder / "numbers.bin").open("wb") as numbers, (folder / "codes.bin").open("wb") as codes:
        for first, frame in source.chunks("encoding"):
            for file, array in zip((numbers, codes), packing.pack(frame), strict=True):
                file.write(array.tobytes())
            held = sampled[(sampled >= first) & (sampled < first + len(frame))] - first
            names = [column.name for column in packing.encoder.encoders]
            kept.append(frame[names].iloc[np.sort(held)].reset_index(drop=True))
    frame = stacked(kept)  # in the order of the file; the sample lists validation rows first
    order = np.argsort(np.argsort(sampled, kind="stable"), kind="stable")
    words = {column.name for column, _ in packing.worded}
    plain = pd.DataFrame({name: frame[name].astype(object) if name in words else frame[name] for name in frame})
    plain.iloc[order].to_parquet(folder / SAMPLE, index=False)


def _write_manifest(
    folder: Path, wanted: Storing, raw: RawData, split: Split, encoder: Encoder, sampled: np.ndarray
) -> None:
    flip = make_flip(encoder, raw, split.train)
    typical = {} if flip is None else {
        name: [_plain(values[name]) for values in flip.typical] for name in flip.typical[0]
    }  # fmt: skip
    facts = {
        "name": task_name(wanted.name),
        "rows": len(raw.rows),
        "group_names": list(raw.group_names),
        "left": raw.left,
        "typical": typical,
        "protocol": wanted.protocol,
        "split": wanted.split,
        "split_hash": split.hash,
        "seed": wanted.seed,
        "use_sensitive": wanted.use_sensitive,
        "sampled": len(sampled),
        "validation_sample": min(wanted.validation_rows, len(split.validation)),
        "task_hash": task_hash(raw, split, encoder, wanted.use_sensitive),
        "sha256": {path.name: hash_file(path) for path in sorted(folder.iterdir())},
    }
    write_json(folder / MANIFEST, facts)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
