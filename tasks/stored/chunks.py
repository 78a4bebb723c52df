"""A card's Parquet files as raw rows, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from tasks.card import Card, DataError
from tasks.formats.arrow import names_of_parquet, parquet_parts
from tasks.frame import clean_text, empty_missing, present_columns

CHUNK_ROWS = 1 << 16
"""Raw rows that are held at once."""


LARGE_ROWS = 1_000_000
"""Rows beyond which a table is looked at in passes wherever it can be."""


def refuse_unstreamed(card: Card, protocol: str, cap: int | None = None) -> None:
    """Refuse what needs all rows in memory; ``cap`` is the row cap of the task's name.

    Raises
    ------
    DataError
        With the reason and the remedy.
    """
    found = _unstreamed(card, protocol, cap)
    if found:
        raise DataError(f"{card.name!r} cannot be read in passes: {found}; or read it whole, without --max-memory.")


def is_large(card: Card) -> bool:
    """Whether a table has more than ``LARGE_ROWS`` rows, and can be read in passes."""
    return card.rows > LARGE_ROWS and not _unstreamed(card, "robust", None)


def _unstreamed(card: Card, protocol: str, cap: int | None) -> str:
    """Why a task cannot be read in passes, and the remedy; empty if it can."""
    reasons = {
        f"its files are {card.read.format}, whose types are known only when all is read; write them as Parquet "
        "(pandas: table.to_parquet) and draft the card again": card.read.format != "parquet",
        "it is simulated": card.modality == "simulated",
        "its rows are nodes of a graph": card.modality == "graph" or card.edges is not None,
        f"its split keeps the rows of one {card.split_unit} together; without split_unit they may part": bool(
            card.split_unit
        ),
        "a task of fewer rows (its name ends in @ROWS) fits into memory": cap is not None,
        "the published nifty split is for small tables; use --protocol robust": protocol == "nifty",
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def raw_chunks(card: Card, files: Mapping[str, Path], columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """The named raw columns of the stacked tables, ``CHUNK_ROWS`` rows at a time, cleaned as the card says.

    Raises
    ------
    DataError
        If a file is damaged, lacks a column, or the number of rows is not the card's.
    """
    total = 0
    for file in card.file:
        if file.role != "table":
            continue
        path = files[file.name]
        present_columns(card, file, names_of_parquet(path))
        for part in parquet_parts(path, CHUNK_ROWS, list(columns)):
            total += len(part)
            cleaned = empty_missing(part, card)
            yield clean_text(cleaned, card) if card.read.strip or card.read.strip_suffix else cleaned
    if total != card.rows:
        raise DataError(
            f"The tables of {card.name!r} have {total} rows, the card says {card.rows}. Correct rows in the card."
        )
