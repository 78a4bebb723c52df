"""Which rows are for training, for choosing and for the final score.

``nifty`` is the one published split of the graph data sets (Agarwal, Lakkaraju, Zitnik, UAI 2021).
``robust`` is the default: 50/25/25 percent of every label x group cell, repeated. It orders rows by a hash of
(row, key) and calls no library generator, so it is the same on every machine and with every library version.
"""

from __future__ import annotations

import random

import numpy as np
import torch

from foundation.seeding import derive_seed
from tasks.card import DataError
from tasks.frame import RawData
from tasks.task import Split

SHARES = (2, 1, 1)
"""Quarters of train, validation and test."""
_PARTS = ("train", "validation", "test")


def make_split(raw: RawData, protocol: str = "robust", index: int = 0, seed: int = 0) -> Split:
    """Train, validation and test positions of one repetition.

    Parameters
    ----------
    index : int
        Which repetition; ``nifty`` has only 0.
    seed : int
        Suite seed: another seed gives other robust splits. ``nifty`` is published and does not depend on it.

    Raises
    ------
    DataError
        If the protocol does not fit the data set, or a part would hold one class only.
    """
    if protocol == "nifty":
        parts = _nifty(raw, index)
    elif protocol == "robust":
        parts = _robust(raw, index, seed)
    else:
        raise DataError(f"There is no split protocol {protocol!r}; choose robust or nifty.")
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


def _robust(raw: RawData, index: int, seed: int) -> tuple[np.ndarray, ...]:
    if index < 0:
        raise DataError(f"The number of a split is 0 or more, not {index}.")
    key = derive_seed(seed, "split", index)
    if raw.units is None:
        part = _deal(_cells(raw.labels, raw.groups), raw.rows, key)
    else:  # one representative row per unit, of its first positive row if it has one, stands for the unit
        order = np.lexsort((raw.rows, -raw.labels, raw.units))
        first = order[np.unique(raw.units[order], return_index=True)[1]]
        dealt = _deal(_cells(raw.labels[first], raw.groups[first]), raw.rows[first], key)
        part = dealt[np.unique(raw.units, return_inverse=True)[1]]
    return tuple(np.flatnonzero(part == k) for k in range(3))


def _deal(cells: np.ndarray, rows: np.ndarray, key: int) -> np.ndarray:
    """[n] part 0, 1 or 2 of each item: every cell is shuffled and dealt 50/25/25.

    A cell that does not divide gives what remains by largest remainder, ties in the order train, test,
    validation. So a single item is for training, two are for training and test, and three or more are in all parts.
    """
    order = np.lexsort((rows, hash_order(rows, key), cells))
    counts = np.bincount(cells)
    sizes = _quotas(counts)
    bounds = np.cumsum(sizes, axis=1)
    position = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    mine = bounds[cells[order]]
    part = np.empty(len(order), dtype=np.int64)
    part[order] = (position >= mine[:, 0]).astype(np.int64) + (position >= mine[:, 1])
    return part


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
