"""Queries of others on small tables: read only, and stopped after so many steps."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

STEPS = 2_000_000
"""Steps of SQLite's machine that a query may take; steps are the same on every machine, seconds are not."""
MOST_ROWS, MOST_BYTES, LONGEST = 10_000, 8 << 20, 10_000
"""Rows and bytes of a result, and bytes of a value: what is done with a long value is one step, however long."""
CHANGING = frozenset(
    ("random", "randomblob", "current_date", "current_time", "current_timestamp", "load_extension", "fts3_tokenizer")
)
"""Functions that are denied: of chance, so that a query is right or wrong and not now and then, and of the machine."""
ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: LONGEST,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 20_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 100,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
}


@dataclass(frozen=True)
class Result:
    """What a query gave.

    Attributes
    ----------
    rows : tuple of tuples
        Values of SQLite: int, float, str, bytes or None.
    reason : str
        Why there is none; "" where there is.
    """

    rows: tuple[tuple[Any, ...], ...] = ()
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the query ran."""
        return not self.reason


def run_sql(
    schema: str | Sequence[str], rows: Mapping[str, Sequence[Sequence[Any]]], query: str, *, steps: int = STEPS
) -> Result:
    """Run one query over tables made for it in memory.

    It may read and nothing else (no write, no ATTACH, no PRAGMA, no extension), gives the same every time (nothing is
    drawn by chance), makes no value of more than 10,000 bytes, takes at most ``steps`` steps and
    gives at most 10,000 rows and 8 MiB; no text makes it raise.

    Parameters
    ----------
    schema : str or sequence of str
        ``CREATE TABLE`` statements, which are trusted.
    rows : mapping
        Rows of each table, in the order of its columns; trusted.
    query : str
        One statement, not trusted.
    steps : int
    """
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(schema if isinstance(schema, str) else ";\n".join(schema))
        for table, values in rows.items():
            if values:
                marks = ", ".join("?" * len(values[0]))
                name = table.replace('"', '""')
                database.executemany(f'INSERT INTO "{name}" VALUES ({marks})', values)
        _restrict(database, steps)
        try:
            cursor = database.execute(query)
            if cursor.description is None:
                return Result(reason="it is no query")
            found = _fetched(cursor)
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, MemoryError) as error:
            return Result(reason=_reason(error))
    return found


def same_rows(left: Result, right: Result, *, ordered: bool = False) -> bool:
    """Whether two results are equal as multisets of rows, or as lists where the order was asked for.

    Numbers are equal to one part in a million; 3 equals 3.0.
    """
    if not (left.ok and right.ok) or len(left.rows) != len(right.rows):
        return False
    first, second = ([tuple(map(_plain, row)) for row in result.rows] for result in (left, right))
    return first == second if ordered else sorted(first, key=repr) == sorted(second, key=repr)


def _restrict(database: sqlite3.Connection, steps: int) -> None:
    for limit, value in LIMITS.items():
        database.setlimit(limit, value)
    database.set_authorizer(_authorised)
    database.set_progress_handler(lambda: 1, steps)


def _authorised(action: int, _first: str | None, second: str | None, *_: str | None) -> int:
    denied = action not in ALLOWED or (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in CHANGING)
    return sqlite3.SQLITE_DENY if denied else sqlite3.SQLITE_OK


def _fetched(cursor: sqlite3.Cursor) -> Result:
    """The rows of a query, none if they are too many; never more of them in memory than may be."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    for row in cursor:
        rows.append(row)
        size += sum(len(value) if isinstance(value, (str, bytes)) else 8 for value in row)
        if len(rows) > MOST_ROWS:
            return Result(reason=f"more than {MOST_ROWS} rows")
        if size > MOST_BYTES:
            return Result(reason=f"more than {MOST_BYTES >> 20} MiB")
    return Result(tuple(rows))


def _plain(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, (int, float)) else value


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())[:200]
    return "it takes too long" if text == "interrupted" else text or type(error).__name__
