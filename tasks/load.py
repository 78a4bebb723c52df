"""From a name to a task: fetch, read, split, encode."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tasks.card import Card, DataError
from tasks.encode import Encoder, make_flip
from tasks.fetch import fetch
from tasks.frame import RawData, read_frame
from tasks.registry import resolve, row_cap, task_name
from tasks.split import make_split, subsample
from tasks.task import Task, task_hash


def load_task(
    name: str,
    *,
    protocol: str = "robust",
    split: int = 0,
    seed: int = 0,
    use_sensitive: str = "keep",
    rows: int | None = None,
    with_edges: bool = False,
    progress: bool = True,
) -> Task:
    """Make a task; the same arguments and bytes give the same task, hash included, on every machine.

    Parameters
    ----------
    name : str
        ``german``, ``adult:sex+race``, ``adult@1000`` or ``path/to/card.toml``, see :func:`tasks.registry.resolve`.
    protocol : {"robust", "large_test", "nifty"}
        Split and scaling, see :mod:`tasks.split` and :mod:`tasks.encode`.
    split : int
        Repetition of the split.
    seed : int
        Suite seed; another seed gives other splits, but for the published one.
    use_sensitive : {"keep", "drop"}
        Whether the sensitive columns are features.
    rows : int, optional
        Use about so many rows, with the shares of label x group cells kept (not with nifty): the row cap of the
        name, for those who have it as a number.
    with_edges : bool
        Load the edges of a graph; they are large and most methods need none.
    progress : bool
        Show progress bars of downloads.

    Raises
    ------
    CardError, DataError, FetchError
        If the name, the card or the data are wrong; the text says what to do.
    """
    card, attributes = resolve(name)
    raw = load_raw(card, attributes, progress=progress)
    cap = _row_cap(name, rows)
    if cap is not None:
        raw = _smaller(raw, cap, seed, protocol)
    parts = make_split(raw, protocol, split, seed)
    train = parts.train.numpy()
    encoder = Encoder.fit(raw, train, protocol=protocol, use_sensitive=use_sensitive)
    frame = raw.frame[[e.name for e in encoder.encoders]]
    return Task(
        name=task_name(name),
        features=encoder.encode(frame),
        labels=torch.from_numpy(raw.labels),
        groups=torch.from_numpy(raw.groups),
        group_names=raw.group_names,
        split=parts,
        feature_names=encoder.feature_names,
        columns=encoder.columns,
        rows=torch.from_numpy(raw.rows),
        edges=_edges(raw, progress) if with_edges else None,
        card=card,
        encoder=encoder,
        frame=frame,
        use_sensitive=use_sensitive,
        flip=make_flip(encoder, raw, train),
        hash=task_hash(raw, parts, encoder, use_sensitive),
        left=raw.left,
    )


def load_raw(card: Card, attributes: tuple[str, ...], *, progress: bool = True) -> RawData:
    """Fetched, verified and read data of a card; read once per process for all splits and seeds.

    Do not write into the result: it is shared.
    """
    if card.modality == "simulated":
        return _simulated(card, attributes)
    paths = fetch(card, progress=progress)  # verified on every call: a file that changed meanwhile is noticed
    return _read(_Key(card, tuple(sorted(paths.items()))), attributes)


@dataclasses.dataclass(frozen=True)
class _Key:
    card: Card = dataclasses.field(compare=False)
    paths: tuple[tuple[str, Path], ...] = dataclasses.field(compare=False)
    hash: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hash", self.card.hash)


@lru_cache(maxsize=4)
def _read(key: _Key, attributes: tuple[str, ...]) -> RawData:
    return read_frame(key.card, dict(key.paths), attributes)


def _simulated(card: Card, attributes: tuple[str, ...]) -> RawData:
    from tasks.frame import assemble
    from tasks.scm import generate

    return assemble(card, attributes, generate(card.generator))


def _row_cap(name: str, rows: int | None) -> int | None:
    """Row cap of the name or the argument, which must not contradict each other."""
    named = row_cap(name)
    if named is None or rows is None or rows == named:
        return rows if named is None else named
    raise DataError(
        f"The task {name!r} has {named} rows by its name, and rows = {rows} was given; give one of the two."
    )


def _smaller(raw: RawData, rows: int, seed: int, protocol: str) -> RawData:
    if protocol == "nifty":
        raise DataError("The published nifty split needs all rows; use the protocol robust or large_test with rows.")
    kept = subsample(raw, rows, seed)
    return dataclasses.replace(
        raw,
        frame=raw.frame.iloc[kept].reset_index(drop=True),
        labels=raw.labels[kept],
        groups=raw.groups[kept],
        parts=raw.parts[kept],
        rows=raw.rows[kept],
        units=None if raw.units is None else raw.units[kept],
        keys=None if raw.keys is None else raw.keys[kept],
    )


def _edges(raw: RawData, progress: bool) -> Tensor:
    """[2, m] int64 undirected edges between the task's rows, first end < second end, each once, no self-loops."""
    from tasks.edges import read_edges

    if raw.card.edges is None:
        raise DataError(f"{raw.card.name!r} has no edges; load it without with_edges, or add [edges] to its card.")
    path = fetch(raw.card, roles=("edges",), progress=progress)[raw.card.edges.file]
    ids = raw.rows if raw.keys is None else raw.keys
    return torch.from_numpy(read_edges(path, raw.card.edges.separator, np.asarray(ids)))
