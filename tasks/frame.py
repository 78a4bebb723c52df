"""The published table as raw features, labels and groups: read, filter, label, group."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.bins import binned
from tasks.card import Card, ColumnSpec, DataError, Sensitive, SourceFile
from tasks.formats.opened import source
from tasks.formats.reading import names_in, read_table
from tasks.formats.written import Writing, understood
from tasks.values import as_numbers, as_words, exact_integers, matches, word, words_in


@dataclass(frozen=True)
class RawData:
    """A data set with labels and groups, before splitting and encoding.

    Attributes
    ----------
    frame : DataFrame
        The card's feature columns: float64 (NaN is missing) or categorical text, see :mod:`tasks.values`.
    labels : [n] int64 in {0, 1}
    groups : [n] int64 in 0..g-1
        Observed combinations of the attributes' groups, in the order of the card.
    group_names : tuple of str
        "female", or "female & Black" for intersections.
    unseen_groups : tuple of str
        Combinations that the card allows and no row has; they are not groups of the task.
    parts : [n, a] int64
        Group of each attribute alone, numbered over ``part_names``.
    rows : [n] int64
        0-based row of the stacked published tables.
    units : [n] int64 or None
        Equal for rows that must stay in one part of a split (rows of one patient).
    left : dict
        Reason -> number of rows that left the task for it.
    """

    card: Card
    attributes: tuple[str, ...]
    frame: pd.DataFrame
    labels: np.ndarray
    groups: np.ndarray
    group_names: tuple[str, ...]
    unseen_groups: tuple[str, ...]
    parts: np.ndarray
    part_names: tuple[tuple[str, ...], ...]
    rows: np.ndarray
    units: np.ndarray | None
    keys: np.ndarray | None
    left: dict[str, int]


def read_frame(card: Card, files: dict[str, Path], attributes: tuple[str, ...] | None = None) -> RawData:
    """Read a card's tables and make labels and groups of them.

    Parameters
    ----------
    files : dict
        Checked local paths by file name, from :func:`tasks.fetch.fetch`.
    attributes : tuple of str, optional
        Sensitive attributes; several give their intersections. Default: the card's.

    Raises
    ------
    DataError
        If the table does not fit the card, or no task can be made of it; the text says what to change.
    """
    attributes = attributes or tuple(card.default_sensitive.split("+"))
    return assemble(card, attributes, read_tables(card, files))


def read_tables(card: Card, files: dict[str, Path]) -> pd.DataFrame:
    """The columns that the card uses, of the stacked published tables, as the files hold them.

    Raises
    ------
    DataError
        If a file cannot be parsed, lacks a column, or the number of rows is not the card's.
    """
    tables = [file for file in card.file if file.role == "table"]
    if not tables:
        raise DataError(
            f"The card of {card.name!r} lists no file of role 'table'; add a [[file]] block with name, sha256, bytes."
        )
    parts = [_read_one(card, file, files[file.name], index) for index, file in enumerate(tables)]
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0].reset_index(drop=True)


def used_columns(card: Card) -> list[str]:
    """Columns of the published tables that the card speaks of, each once."""
    used = [column.name for column in card.column]
    used += [card.label.column, *(s.column for s in card.sensitive), *(k.column for k in card.keep)]
    used += [name for name in (card.split_unit, card.edges.key if card.edges else "") if name]
    return list(dict.fromkeys(used))


def _read_one(card: Card, file: SourceFile, path: Path, index: int) -> pd.DataFrame:
    try:
        table = _read_csv(card, file, path, index) if card.read.format == "csv" else _read_typed(card, file, path)
    except (ValueError, OSError, NotImplementedError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{file.name} of {card.name!r} cannot be read as {card.read.format}: {error}. "
            "Correct [read] (format, separator, encoding, decimal, header, names, skip_rows) in the card."
        ) from error
    return clean_text(table, card) if card.read.strip or card.read.strip_suffix else table


def _read_csv(card: Card, file: SourceFile, path: Path, index: int) -> pd.DataFrame:
    read = card.read
    skip = read.skip_rows[index] if index < len(read.skip_rows) else 0
    options: dict[str, Any] = {
        "sep": read.separator,
        "header": 0 if read.header else None,
        "skiprows": skip,
        "encoding": "utf-8-sig" if read.encoding == "utf-8" else read.encoding,
        "skipinitialspace": read.strip,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows that are longer than the names would be cut
        found = list(pd.read_csv(source(path), nrows=5, index_col=False, **options).columns)
    names = list(read.names) or [str(name) for name in found]
    if len(names) != len(found):
        raise DataError(
            f"{file.name} of {card.name!r} has {len(found)} columns, the card's names list {len(names)}. "
            "Correct names in [read]."
        )
    used = present_columns(card, file, names)
    if not read.names and read.header:
        _refuse_twice(card, file, path, used, options)
    options |= {"names": names, "na_values": ["", *read.missing], "keep_default_na": False, "low_memory": False}
    options |= {"decimal": read.decimal}

    def cells(columns: list[str], **kind: Any) -> pd.DataFrame:
        places = [names.index(name) for name in columns]
        table: pd.DataFrame = pd.read_csv(source(path), usecols=places, **options, **kind)
        return table

    table = exact_integers(cells(used), lambda columns: cells(columns, dtype=str))[used]
    return table.apply(understood, writing=Writing(read.decimal, read.thousands)) if read.thousands else table


def _refuse_twice(card: Card, file: SourceFile, path: Path, used: list[str], options: dict[str, Any]) -> None:
    """Refuse a name that stands over two columns that differ; copies of one column are one column."""
    text: dict[str, Any] = {**options, "header": None, "dtype": str, "keep_default_na": False}
    line = [str(name) for name in pd.read_csv(source(path), nrows=1, **text).iloc[0]]
    for name in used:
        places = [place for place, other in enumerate(line) if other == name]
        if len(places) < 2:
            continue
        columns = pd.read_csv(source(path), usecols=places, **text)
        if not columns.eq(columns.iloc[:, 0], axis=0).all(axis=None):
            raise DataError(
                f"{file.name} of {card.name!r} has {len(places)} columns with the name {name!r} that differ, and the "
                "card does not say which one it means. Give them different names in the file, or list names in [read]."
            )


def _read_typed(card: Card, file: SourceFile, path: Path) -> pd.DataFrame:
    """The columns of a file that carries its own types, without what means missing."""
    used = present_columns(card, file, names_in(path, card.read))
    return empty_missing(read_table(path, card.read, used), card)


def empty_missing(table: pd.DataFrame, card: Card) -> pd.DataFrame:
    """Empty all cells that hold one of the card's words for missing; changes ``table`` itself."""
    for name in table.columns if card.read.missing else ():
        table[name] = table[name].mask(_holds_one_of(table[name], card.read.missing))
    return table


def _holds_one_of(column: pd.Series, values: tuple[Any, ...]) -> np.ndarray:
    """[n] bool: which cells hold one of a card's values, however the file types them; an empty cell is ""."""
    wanted = words_in(column, values)
    codes, uniques = pd.factorize(column, use_na_sentinel=True)
    return np.array([word(value) in wanted for value in uniques] + ["" in wanted], dtype=bool)[codes]


def present_columns(card: Card, file: SourceFile, names: list[str]) -> list[str]:
    """Columns that the card uses, all of which must be among the names of a file."""
    used = used_columns(card)
    lacking = [name for name in used if name not in names]
    if lacking:
        raise DataError(
            f"{file.name} of {card.name!r} has no column {', '.join(map(repr, lacking))}. It has: {', '.join(names)}. "
            "Correct the names in the card, or header, separator and names in its [read]."
        )
    return used


def clean_text(table: pd.DataFrame, card: Card) -> pd.DataFrame:
    """Cut blanks of all text cells and the label's suffix, empty those that mean missing; changes ``table`` itself."""
    for name in [name for name, kind in table.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]:
        codes, uniques = pd.factorize(table[name], use_na_sentinel=True)
        texts = [word(value).strip() if card.read.strip else word(value) for value in uniques]
        if name == card.label.column and card.read.strip_suffix:
            texts = [text.removesuffix(card.read.strip_suffix) for text in texts]
        absent = set(card.read.missing) | {""}
        cells = np.array([np.nan if text in absent else text for text in texts] + [np.nan], dtype=object)
        table[name] = pd.Series(cells[codes], dtype="str", index=table.index)
    return table


def attribute_of(card: Card, name: str) -> Sensitive:
    """The sensitive attribute of this name."""
    for sensitive in card.sensitive:
        if sensitive.name == name:
            return sensitive
    raise DataError(
        f"{card.name!r} has no sensitive attribute {name!r}; it has {', '.join(s.name for s in card.sensitive)}."
    )


def assemble(card: Card, attributes: tuple[str, ...], table: pd.DataFrame) -> RawData:
    """Filter, label and group a table with raw columns, as :func:`read_frame` does after reading.

    Raises
    ------
    DataError
        If the table does not fit the card, or no task can be made of it; the text says what to change.
    """
    if len(table) != card.rows:
        raise DataError(
            f"The tables of {card.name!r} have {len(table)} rows, the card says {card.rows}. "
            "Correct rows, skip_rows or header in the card."
        )
    sensitive = [attribute_of(card, name) for name in attributes]
    stay, left = staying(card, sensitive, table)
    rows = np.flatnonzero(stay).astype(np.int64)
    refuse_no_rows(card, len(rows), left)
    table = table.iloc[rows].reset_index(drop=True)
    labels = label_codes(card, table)
    refuse_one_class(card, labels, table)
    parts = group_parts(card, sensitive, table)
    part_names = part_names_of(sensitive)
    groups, names, unseen = combine(card, parts, part_names, left)
    return RawData(
        card=card,
        attributes=attributes,
        frame=feature_frame(card, table),
        labels=labels,
        groups=groups,
        group_names=names,
        unseen_groups=unseen,
        parts=parts,
        part_names=part_names,
        rows=rows,
        units=_units(card, table),
        keys=table[card.edges.key].to_numpy() if card.edges and card.edges.key else None,
        left=left,
    )


def staying(card: Card, sensitive: Sequence[Sensitive], table: pd.DataFrame) -> tuple[np.ndarray, dict[str, int]]:
    """[n] bool: raw rows that are in the task; and reason -> how many are not for it."""
    stay = np.ones(len(table), dtype=bool)
    left: dict[str, int] = {}

    def leave(reason: str, gone: np.ndarray) -> None:
        if count := int((stay & gone).sum()):
            left[reason] = left.get(reason, 0) + count
        stay[gone] = False

    for rule in card.keep:
        leave(rule.why, ~matches(table[rule.column], rule))
    leave("no label", _holds_one_of(table[card.label.column], card.label.unlabelled))
    for attribute in sensitive:
        leave(f"in no group of {attribute.name}", _outside(card, attribute, table, stay))
    return stay, left


def refuse_no_rows(card: Card, rows: int, left: Mapping[str, int]) -> None:
    """Refuse a card whose filters leave nothing."""
    if not rows:
        raise DataError(
            f"No row of {card.name!r} is left after its filters ({dict(left)}); correct keep, label or sensitive in "
            "the card."
        )


def label_codes(card: Card, table: pd.DataFrame) -> np.ndarray:
    """[n] int64 in {0, 1} of the raw rows of a task."""
    column = table[card.label.column]
    if column.isna().any():
        raise DataError(
            f"The label column {column.name!r} of {card.name!r} is empty in {int(column.isna().sum())} rows. "
            'Such rows leave the task if the card says unlabelled = [""] in [label].'
        )
    return matches(column, card.label.positive).astype(np.int64)


def refuse_one_class(card: Card, labels: np.ndarray, table: pd.DataFrame) -> None:
    """Refuse labels that are all alike; ``table`` holds some of the raw rows."""
    if labels.min() == labels.max():
        column = table[card.label.column]
        seen = ", ".join(word(value) for value in column.unique()[:6])
        raise DataError(
            f"All rows of {card.name!r} have label {labels[0]}: the rule positive of [label] fits "
            f"{'every' if labels[0] else 'no'} value of column {column.name!r} (it holds {seen}). "
            "Correct the rule in the card."
        )


def _outside(card: Card, attribute: Sensitive, table: pd.DataFrame, stay: np.ndarray) -> np.ndarray:
    """Rows that leave the task for their value of a sensitive attribute."""
    column = _values(card, attribute, table)
    absent = column.isna().to_numpy()
    if (count := int((absent & stay).sum())) and attribute.missing == "error":
        raise DataError(
            f"The sensitive column {attribute.column!r} of {card.name!r} is empty in {count} rows. Say in the card "
            f'what happens to them: in [[sensitive]] {attribute.name!r} missing = "leave" drops them, missing = '
            '"other" puts them into the group named by other, and a [[keep]] rule drops them for all attributes.'
        )
    known = np.any([matches(column, group) for group in attribute.groups], axis=0)
    outside = absent & (attribute.missing == "leave")
    return outside | (~known & ~absent) if not attribute.other else outside


def group_parts(card: Card, sensitive: Sequence[Sensitive], table: pd.DataFrame) -> np.ndarray:
    """[n, a] int64: group of each attribute alone, numbered over its names."""
    return np.stack([_group_codes(card, attribute, table) for attribute in sensitive], axis=1)


def part_names_of(sensitive: Sequence[Sensitive]) -> tuple[tuple[str, ...], ...]:
    """Names of the groups of each attribute alone."""
    return tuple(_names(attribute) for attribute in sensitive)


def _names(attribute: Sensitive) -> tuple[str, ...]:
    return (*(group.name for group in attribute.groups), *((attribute.other,) if attribute.other else ()))


def _values(card: Card, attribute: Sensitive, table: pd.DataFrame) -> pd.Series:
    """A sensitive column in which the codes that its column spec calls missing are empty, unless a group names them."""
    values = table[attribute.column]
    named = words_in(values, [value for group in attribute.groups for value in group.equals])
    missing = [code for column in card.column if column.name == attribute.column for code in column.missing]
    codes = words_in(values, missing) - named
    return values.where(~values.map(word).isin(codes)) if codes else values


def _group_codes(card: Card, attribute: Sensitive, table: pd.DataFrame) -> np.ndarray:
    """[n] int64: position of each row's group in ``_names``; rows in no rule are the last one, other."""
    values = _values(card, attribute, table)
    hits = np.stack([matches(values, group) for group in attribute.groups])
    if (hits.sum(axis=0) > 1).any():
        value = values[hits.sum(axis=0) > 1].iloc[0]
        raise DataError(
            f"The value {value!r} is in two groups of {attribute.name!r}; make the groups disjoint in the card."
        )
    return np.where(hits.any(axis=0), hits.argmax(axis=0), len(attribute.groups)).astype(np.int64)


def group_numbers(card: Card, attributes: Sequence[str], table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """[n] int64: position of each row's group in ``names``, -1 for a row that is in none of them.

    Parameters
    ----------
    table : DataFrame
        Raw rows with the columns of the attributes, cleaned as a file's are (:func:`clean_text`).
    names : sequence of str
        Groups of a task with these attributes, "female & Black" for intersections.

    Raises
    ------
    DataError
        If the card has no such attribute, or a column holds what its rules cannot be asked about.
    """
    sensitive = [attribute_of(card, name) for name in attributes]
    parts = group_parts(card, sensitive, table)
    inside = np.ones(len(table), dtype=bool)
    for place, attribute in enumerate(sensitive):
        absent = _values(card, attribute, table).isna().to_numpy()
        told = np.where(absent, attribute.missing == "other", bool(attribute.other))
        inside &= (parts[:, place] < len(attribute.groups)) | told
    position = {name: place for place, name in enumerate(names)}
    combinations, which = np.unique(parts, axis=0, return_inverse=True)
    places = [_place(sensitive, combination, position) for combination in combinations]
    return np.where(inside, np.array(places, dtype=np.int64)[which.reshape(-1)], -1)


def _place(sensitive: Sequence[Sensitive], combination: np.ndarray, position: dict[str, int]) -> int:
    names = [(*_names(attribute), "")[code] for attribute, code in zip(sensitive, combination.tolist(), strict=True)]
    return position.get(" & ".join(names), -1)


def combine(
    card: Card, parts: np.ndarray, part_names: tuple[tuple[str, ...], ...], left: dict[str, int]
) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Number the combinations that occur, in the order of the card; name those that do not."""
    sizes = [len(names) for names in part_names]
    flat = np.ravel_multi_index(tuple(parts.T), sizes)
    seen, groups = np.unique(flat, return_inverse=True)
    names = [
        " & ".join(n[i] for n, i in zip(part_names, np.unravel_index(k, sizes), strict=True))
        for k in range(np.prod(sizes))
    ]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            f"Two groups of {card.name!r} are both called {twice[0]!r} when the attributes are put together; "
            "give one of them another name in the card."
        )
    if len(seen) < 2:
        gone = "".join(f" ({count} rows left the task: {reason})" for reason, count in left.items())
        raise DataError(
            f"All rows of {card.name!r} are in one group, {names[seen[0]]!r}{gone}: there is nothing to compare. "
            "Correct the groups in the card, or choose another sensitive attribute."
        )
    unseen = tuple(name for k, name in enumerate(names) if k not in set(seen.tolist()))
    return groups.astype(np.int64), tuple(names[k] for k in seen), unseen


def feature_frame(card: Card, table: pd.DataFrame) -> pd.DataFrame:
    """The card's feature columns of raw rows: float64, or categorical text."""
    convert = {"numeric": as_numbers, "binary": as_words, "categorical": as_words}
    raw = {c.name: binned(table[c.name], c) if c.bins else table[c.name] for c in card.column}
    frame = pd.DataFrame({c.name: convert[c.kind](raw[c.name], c.missing) for c in card.column})
    for column in card.column:
        if column.kind == "binary":  # only words have categories
            refuse_not_binary(card, column, frame[column.name].cat.categories)
    return frame


def refuse_not_binary(card: Card, column: ColumnSpec, words: Sequence[str] | pd.Index) -> None:
    """Refuse a column that is declared binary and holds more than two words; any other column passes.

    Raises
    ------
    DataError
        With the first of the words.
    """
    if column.kind == "binary" and len(words) > 2:
        raise DataError(
            f"Column {column.name!r} of {card.name!r} is declared binary but holds {', '.join(words[:6])}. "
            "Declare it categorical, or name codes that mean missing in its missing = [...]."
        )


def _units(card: Card, table: pd.DataFrame) -> np.ndarray | None:
    if not card.split_unit:
        return None
    codes, _ = pd.factorize(table[card.split_unit], use_na_sentinel=False)
    return codes.astype(np.int64)
