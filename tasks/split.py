"""Which rows are for training, for choosing and for the final score.

``nifty`` is the one published split of the graph data sets (Agarwal, Lakkaraju, Zitnik, UAI 2021).
``robust`` is the default: 50/25/25 percent of every label x group cell, repeated.
``large_test`` is for benchmarks that must see small differences: 3,000 training and 1,500 validation rows, whatever
the size of the data set, and all that is left (at most 10,000 rows) is the test part, which is where the noise of a
comparison comes from; every label x group cell in proportion, repeated. Data of at most 6,000 rows are cut as by
robust.
Both order rows by a hash of (row, key) and call no library generator, so they are the same on every machine and with
every library version.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch

from foundation.seeding import derive_seed
from tasks.card import DataError
from tasks.frame import RawData
from tasks.task import Split

SHARES = (2, 1, 1)
"""Quarters of train, validation and test."""
PROTOCOLS = ("robust", "large_test", "nifty")
LARGE_TRAIN = 3_000
LARGE_VALIDATION = 1_500
LARGE_TEST = 10_000
"""Most rows of the three parts of ``large_test``."""
SMALL = 6_000
"""Data of at most so many rows are cut 50/25/25 under ``large_test`` too: that leaves 1,500 test rows of 6,000."""
_PARTS = ("train", "validation", "test")

Deal = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]
"""(cell, row number, rows) of each item and a key → part of each item; part 3 is none."""


def make_split(raw: RawData, protocol: str = "robust", index: int = 0, seed: int = 0) -> Split:
    """Train, validation and test positions of one repetition.

    Parameters
    ----------
    protocol : {"robust", "large_test", "nifty"}
    index : int
        Which repetition; ``nifty`` has only 0.
    seed : int
        Suite seed: another seed gives other robust and large_test splits. ``nifty`` is published and does not depend
        on it.

    Raises
    ------
    DataError
        If the protocol does not fit the data set, or a part would hold one class only.
    """
    if protocol == "nifty":
        parts = _nifty(raw, index)
    elif protocol == "robust":
        parts = _repeated(raw, index, seed, _deal)
    elif protocol == "large_test":
        parts = _repeated(raw, index, seed, _deal if len(raw.rows) <= SMALL else _deal_large)
    else:
        *others, last = PROTOCOLS
        raise DataError(f"There is no split protocol {protocol!r}; choose {', '.join(others)} or {last}.")
    _check(raw, protocol, parts)
    train, validation, test = (torch.from_numpy(part) for part in parts)
    return Split(protocol, index, train, validation, test, None if protocol == "nifty" else seed)


def hash_order(rows: np.ndarray, key: int) -> np.ndarray:
    """[n] uint64: SplitMix64 of (row, key); sorting by it is a shuffle that no library can change.

    Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    with np.errstate(over="ignore"):
        z: np.ndarray = np.uint64(key) + (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: np.ndarray = z ^ (z >> np.uint64(31))
    return mixed


def subsample(raw: RawData, size: int, seed: int) -> np.ndarray:
    """Positions of about ``size`` rows with the same shares of label x group cells, sorted ascending.

    Every cell keeps at least one row, so that no group disappears; the same rows on every machine.
    """
    if size >= len(raw.rows):
        return np.arange(len(raw.rows))
    cells = _cells(raw.labels, raw.groups)
    order = np.lexsort((raw.rows, hash_order(raw.rows, derive_seed(seed, "subsample")), cells))
    counts = np.bincount(cells)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    quota = np.maximum(np.round(counts * (size / len(raw.rows))), 1)
    return np.sort(order[np.arange(len(order)) - starts < quota[cells[order]]])


def _cells(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """[n] int64: number of the label x group cell, without gaps."""
    return np.unique(groups * 2 + labels, return_inverse=True)[1].astype(np.int64)


def _repeated(raw: RawData, index: int, seed: int, deal: Deal) -> tuple[np.ndarray, ...]:
    """Positions of the three parts; the rows of a unit are in one part, or in none."""
    if index < 0:
        raise DataError(f"The number of a split is 0 or more, not {index}.")
    key = derive_seed(seed, "split", index)
    if raw.units is None:
        part = deal(_cells(raw.labels, raw.groups), raw.rows, np.ones(len(raw.rows), dtype=np.int64), key)
    else:  # one representative row per unit, of its first positive row if it has one, stands for the unit
        order = np.lexsort((raw.rows, -raw.labels, raw.units))
        first = order[np.unique(raw.units[order], return_index=True)[1]]
        unit, sizes = np.unique(raw.units, return_inverse=True, return_counts=True)[1:]
        part = deal(_cells(raw.labels[first], raw.groups[first]), raw.rows[first], sizes, key)[unit]
    return tuple(np.flatnonzero(part == k) for k in range(3))


def _deal(cells: np.ndarray, rows: np.ndarray, _: np.ndarray, key: int) -> np.ndarray:
    """[n] part 0, 1 or 2 of each item (a row, or a unit of rows): every cell is shuffled and dealt 50/25/25.

    A cell that does not divide gives what remains by largest remainder, ties in the order train, test,
    validation. So a single item is for training, two are for training and test, and three or more are in all parts.
    """
    ones = np.ones(len(rows), dtype=np.int64)
    return _cut(cells, rows, ones, key, _quotas(np.bincount(cells)))


def _deal_large(cells: np.ndarray, rows: np.ndarray, sizes: np.ndarray, key: int) -> np.ndarray:
    """[n] part 0, 1 or 2 of each item, 3 for those left over: every cell is shuffled and gives its share of each part.

    The parts have exactly ``LARGE_TRAIN``, ``LARGE_VALIDATION`` and up to ``LARGE_TEST`` rows. Items of several rows
    (units) are not cut in two: an item belongs to the part in which its first row falls, so that each cell may exceed
    or miss its share of a part by less than one item. A single row of a cell is for training, two are for training
    and test, and three or more are in all parts.
    """
    counts = np.bincount(cells, weights=sizes).astype(np.int64)
    train = _seats(counts, LARGE_TRAIN)
    left = counts - train
    room = left - (left > 1)  # one row stays for validation
    test = _seats(room, min(LARGE_TEST, int(left.sum()) - LARGE_VALIDATION))
    validation = _seats(left - test, LARGE_VALIDATION)
    return _cut(cells, rows, sizes, key, np.stack((train, validation, test), axis=1))


def _cut(cells: np.ndarray, rows: np.ndarray, sizes: np.ndarray, key: int, quotas: np.ndarray) -> np.ndarray:
    """[n] part of each item: each cell is shuffled and cut where its ``quotas`` [cells, parts] of rows are full."""
    order = np.lexsort((rows, hash_order(rows, key), cells))
    before = np.cumsum(sizes[order]) - sizes[order]
    _, start, count = np.unique(cells[order], return_index=True, return_counts=True)
    position = before - np.repeat(before[start], count)
    bounds = np.cumsum(quotas, axis=1)[cells[order]]
    part = np.empty(len(order), dtype=np.int64)
    part[order] = (position[:, None] >= bounds).sum(axis=1)
    return part


def _seats(counts: np.ndarray, size: int) -> np.ndarray:
    """[cells] rows of each cell in a part of ``size`` rows: Sainte-Laguë, one at least as in :mod:`tasks.thinning`."""
    cell = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(cell)) - np.repeat(np.cumsum(counts) - counts, counts)
    turn = np.where(place == 0, -1.0, (2 * place + 1) / counts[cell])
    seated = np.lexsort((cell, -counts[cell], turn))[:size]
    return np.bincount(cell[seated], minlength=len(counts))


def _quotas(counts: np.ndarray) -> np.ndarray:
    """[cells, 3] items of each cell for train, validation and test, in whole numbers only."""
    quarters = counts[:, None] * np.array(SHARES)
    sizes: np.ndarray = quarters // 4
    remainder = quarters % 4
    rank = np.argsort(
        -(remainder * 4 + np.array([2, 0, 1])), axis=1
    )  # largest remainder; ties: train, test, validation
    extra = np.arange(3)[None, :] < (counts - sizes.sum(axis=1))[:, None]
    np.put_along_axis(sizes, rank, np.take_along_axis(sizes, rank, axis=1) + extra, axis=1)
    return sizes


def _nifty(raw: RawData, index: int) -> tuple[np.ndarray, ...]:
    """The published rule: per class, shuffle, then train up to half of ``label_number``, 25 % and 25 %."""
    settings = raw.card.nifty
    if settings is None:
        raise DataError(
            f"{raw.card.name!r} has no published nifty split; use the protocol robust, or add [nifty] to its card."
        )
    if index != 0:
        raise DataError(
            f"The nifty protocol has one published split, number 0, not {index}; use robust for repetitions."
        )
    shuffle = random.Random(settings.seed).shuffle  # one generator for both classes, class 0 first
    parts: tuple[list[int], ...] = ([], [], [])
    for label in (0, 1):
        ids = np.flatnonzero(raw.labels == label).tolist()
        shuffle(ids)
        half, three_quarters = len(ids) // 2, int(0.75 * len(ids))
        parts[0].extend(ids[: min(half, settings.label_number // 2)])
        parts[1].extend(ids[half:three_quarters])
        parts[2].extend(ids[three_quarters:])
    return tuple(np.array(part, dtype=np.int64) for part in parts)


def _check(raw: RawData, protocol: str, parts: tuple[np.ndarray, ...]) -> None:
    for name, part in zip(_PARTS, parts, strict=True):
        counts = np.bincount(raw.labels[part], minlength=2)
        if counts.min() == 0:
            label = int(counts.argmin())
            raise DataError(
                f"The {protocol} split of {raw.card.name!r} has no row of class {label} in its {name} part: the "
                f"data have only {int((raw.labels == label).sum())} such rows. Use more rows, or correct "
                "the rule positive of [label] in the card."
            )
