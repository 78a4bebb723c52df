"""What is kept of a prediction: who decided, by what, when; never the rows themselves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class AuditRecord:
    """The record of one request about rows.

    Attributes
    ----------
    request : str
        Its id.
    time : str
        When it was answered, UTC, ISO 8601.
    expert, version, content, trust : str
        The package: name, version, sha256 of its manifest (what is signed), and what the user's keys say of it.
    task, method : str
        What the model was trained for, and how.
    columns : tuple of str
        Raw columns that were read, groups included.
    ignored : tuple of str
        Columns that were sent and not read.
    groups : {"used", "known", "unknown"}
        Whether the groups of rows decided, were only known, or were not there.
    rows : int
        How many.
    row_hashes : tuple of str
        Keyed hashes of the columns read, by row in order: 64 bits of BLAKE2b under ``salt``; whoever has a row and the
        record can tell whether it was among them.
    salt : str
        Hexadecimal; a new one for every record, so that equal rows of two records are not seen to be equal.
    """

    request: str
    time: str
    expert: str
    version: str
    content: str
    trust: str
    task: str
    method: str
    columns: tuple[str, ...]
    ignored: tuple[str, ...]
    groups: str
    rows: int
    row_hashes: tuple[str, ...]
    salt: str

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)
