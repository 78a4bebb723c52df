"""Columnar tables that carry their types: Parquet and Feather."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow import ArrowException, ArrowInvalid, Table, memory_map, types  # type: ignore[attr-defined]

from tasks.card import DataError, Read
from tasks.values import exact_integers

_SURVEYED_GROUPS = 16
"""Row groups that a survey of a large file looks into."""
_BUFFER_BYTES = 1 << 16
"""Of each column that is read in parts."""


def read_parquet(path: Path, read: Read, columns: list[str] | None = None) -> pd.DataFrame:  # noqa: ARG001 - a reader
    """The named columns, or all that hold numbers or texts.

    Raises
    ------
    DataError
        If the file is damaged, or a named column holds lists, records or bytes.
    """
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)  # type: ignore[no-untyped-call]
        return _frame(path, pq.read_table(path, columns=_plain_columns(path, schema, columns)))  # type: ignore[no-untyped-call]
    except (ArrowInvalid, OSError) as error:
        raise _damaged(path, "Parquet", error) from error


def read_feather(path: Path, read: Read, columns: list[str] | None = None) -> pd.DataFrame:  # noqa: ARG001 - a reader
    """As :func:`read_parquet`."""
    import pyarrow.feather as feather

    try:
        with memory_map(str(path)) as stream:
            table = feather.read_table(stream)  # type: ignore[no-untyped-call]
        return _frame(path, table.select(_plain_columns(path, table.schema, columns)))
    except (ArrowInvalid, OSError) as error:
        raise _damaged(path, "Feather", error) from error


def parquet_parts(path: Path, chunk: int, wanted: list[str] | None = None) -> Iterator[pd.DataFrame]:
    """The wanted columns, or all that hold numbers or texts, in parts of at most ``chunk`` rows.

    Errors as :func:`read_parquet`.
    """
    import pyarrow.parquet as pq

    try:
        # buffers of all columns read beforehand would stay, however long the file; streams hold what is being decoded
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:  # type: ignore[no-untyped-call]
            columns = _plain_columns(path, file.schema_arrow, wanted)
            for batch in file.iter_batches(batch_size=chunk, columns=columns):
                yield _frame(path, Table.from_batches([batch]))
    except (ArrowException, NotImplementedError, OSError) as error:
        raise _damaged(path, "Parquet", error) from error


def surveyed_parquet(path: Path, most: int) -> tuple[pd.DataFrame, int]:
    """About ``most`` rows from all over a file (all of a smaller one), and how many rows it has.

    Rows are the first ones of evenly spaced row groups; errors as :func:`read_parquet`.
    """
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:  # type: ignore[no-untyped-call]
            columns, rows = _plain_columns(path, file.schema_arrow, None), int(file.metadata.num_rows)
            if rows <= most:
                return _frame(path, file.read(columns=columns)), rows
            count = min(file.num_row_groups, _SURVEYED_GROUPS)
            places = [place * file.num_row_groups // count for place in range(count)]
            parts = [file.read_row_group(place, columns=columns).slice(0, most // count) for place in places]
            return pd.concat([_frame(path, part) for part in parts], ignore_index=True), rows
    except (ArrowException, NotImplementedError, OSError) as error:
        raise _damaged(path, "Parquet", error) from error


def names_of_parquet(path: Path) -> list[str]:
    """Names of all columns, in the order of the file; a damaged file is a ``DataError``."""
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)  # type: ignore[no-untyped-call]
    except (ArrowInvalid, OSError) as error:
        raise _damaged(path, "Parquet", error) from error


def _plain_columns(path: Path, schema: Any, wanted: list[str] | None) -> list[str]:
    kinds = {field.name: field.type for field in schema}
    odd = [name for name, kind in kinds.items() if _is_odd(kind)]
    for name in wanted or ():
        if name in odd:
            raise DataError(
                f"Column {name!r} of {path.name} cannot be read: it holds {kinds[name]}, which is neither a number "
                "nor a text; leave it out of the card, or write it as text."
            )
    return [name for name in schema.names if name not in odd] if wanted is None else wanted


def _is_odd(kind: Any) -> bool:
    return bool(types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind))


def _frame(path: Path, arrow: Any) -> pd.DataFrame:
    if len(set(arrow.column_names)) < len(arrow.column_names):
        raise DataError(f"{path} has two columns of one name; give one of them another name.")
    table: pd.DataFrame = arrow.to_pandas(ignore_metadata=True)
    return exact_integers(table, lambda columns: arrow.select(columns).to_pandas(integer_object_nulls=True))


def _damaged(path: Path, kind: str, error: Exception) -> DataError:
    return DataError(
        f"{path} is not a whole {kind} file ({' '.join(str(error).split())[:200]}); copy or write it again."
    )
