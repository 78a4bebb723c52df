"""The audit record of a prediction."""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from serving.audit import AuditRecord
from tasks.values import word

if TYPE_CHECKING:
    import pandas as pd

    from serving.catalogue import Entry
    from serving.row_model import RowModel

BYTES = 8
"""Of a row's hash."""


def audited(request: str, frame: pd.DataFrame, entry: Entry, model: RowModel) -> AuditRecord:
    """The record of one request about rows; columns of groups are read when they are there."""
    grouped = all(name in frame.columns for name in model.group_columns)
    read = tuple(dict.fromkeys([*model.columns_needed, *(model.group_columns if grouped else ())]))
    salt = secrets.token_hex(16)
    return AuditRecord(
        request=request, time=datetime.now(UTC).isoformat(timespec="milliseconds"), expert=entry.name,
        version=entry.version, content=entry.content, trust=entry.trust, task=str(model.facts.get("task", "")),
        method=str(model.facts.get("method", "")), columns=read,
        ignored=tuple(str(name) for name in frame.columns if name not in read),
        groups="used" if model.needs_group else "known" if grouped else "unknown", rows=len(frame),
        row_hashes=row_hashes(frame, read, salt), salt=salt,
    )  # fmt: skip


def row_hashes(frame: pd.DataFrame, columns: tuple[str, ...], salt: str) -> tuple[str, ...]:
    """Keyed hash of each row: 3, 3.0 and "3" are the same value, as they are to the model.

    Parameters
    ----------
    frame : DataFrame
    columns : tuple of str
    salt : str
        Hexadecimal key of at most 64 bytes.

    Returns
    -------
    tuple of str
        [r] 16 hexadecimal digits.
    """
    key, parts = bytes.fromhex(salt), [_words(frame[name]) for name in columns]
    return tuple(
        hashlib.blake2b(json.dumps(row).encode(), digest_size=BYTES, key=key).hexdigest()
        for row in zip(*parts, strict=True)
    )


def _words(column: pd.Series) -> list[str | None]:
    empty = column.isna().tolist()
    return [None if none else word(value) for value, none in zip(column.tolist(), empty, strict=True)]
