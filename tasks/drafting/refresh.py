"""A card brought up to date after its file changed: the user's edits and comments stay."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import tomlkit
from pydantic import ValidationError

from foundation.files import write_text
from foundation.hashing import hash_file
from tasks.bins import binned
from tasks.card import Card, CardError, DataError, SourceFile, load_card
from tasks.drafting.survey import survey
from tasks.frame import assemble, read_tables
from tasks.values import matches


def refresh_card(path: Path) -> list[str]:
    """Write the file's new hash, size and rows into its card, and what else follows from them; say what changed.

    New columns go to ``[drop]``, marked CHECK; a binary column with further values becomes categorical. Everything
    else of the card, comments too, stays as it is.

    Returns
    -------
    list of str
        What changed, and what the user should look at; empty if the files are those of the card.

    Raises
    ------
    CardError, DataError
        If the card cannot mean the new file: a column is gone, a number is a text, a group is empty. Nothing is
        written then.
    """
    card = load_card(path)
    if card.folder is None or not any(file.role == "table" and not file.url for file in card.file):
        raise CardError(f"{path} describes no file of yours: its tables have an address. --refresh is for own files.")
    text = tomlkit.parse(path.read_text(encoding="utf-8"))
    changes = [change for index, file in enumerate(card.file) for change in _file(card.folder, file, text, index)]
    if not changes:
        return []
    tables = {f.name: card.folder / f.name for f in card.file if f.role == "table"}
    table = read_tables(card, tables)
    rows = len(table)
    if rows != card.rows:
        changes.append(f"rows: {card.rows:,} -> {rows:,}")
        text["rows"] = rows
    changes += _new_columns(card, text, list(tables.values()))
    changes += _kinds(card, text, table)
    new = _validated(path, tomlkit.dumps(text))
    changes += _groups(new, table)
    for sensitive in new.sensitive:
        assemble(new, (sensitive.name,), table)  # refuses what the card can no longer mean
    write_text(path, tomlkit.dumps(text))
    return changes


def _file(folder: Path, file: SourceFile, text: Any, index: int) -> list[str]:
    own = folder / file.name
    if file.url or file.role == "documentation":
        return []
    if not own.is_file():
        raise DataError(f"There is no file {own}, which the card describes; put it back, or correct name in [[file]].")
    found, size = hash_file(own), own.stat().st_size
    if found == file.sha256:
        return []
    text["file"][index]["sha256"], text["file"][index]["bytes"] = found, size
    return [f"{file.name}: another content, {file.bytes:,} -> {size:,} bytes, sha256 {found[:12]}..."]


def _new_columns(card: Card, text: Any, tables: list[Path]) -> list[str]:
    """Columns of the file that the card does not speak of."""
    if card.read.names:
        return []
    known = {c.name for c in card.column} | set(card.drop) | {card.label.column} | {s.column for s in card.sensitive}
    known |= {card.split_unit, card.edges.key if card.edges else ""}
    found = [str(name) for name in survey(tables[0], card.read.sheet).table.columns]
    new = [name for name in found if name not in known]
    for name in new:
        text.setdefault("drop", tomlkit.table())[name] = (
            "CHECK: new in the file; if it is a feature, move it to [[column]]"
        )
    gone = [name for name in card.drop if name not in found]
    for name in gone:
        del text["drop"][name]
    return [f"new column {name!r}: added to [drop], CHECK it" for name in new] + [
        f"column {name!r} of [drop] is gone from the file: its line is removed" for name in gone
    ]


def _kinds(card: Card, text: Any, table: pd.DataFrame) -> list[str]:
    changes = []
    for index, column in enumerate(card.column):
        cells = binned(table[column.name], column) if column.bins else table[column.name]
        if column.kind == "binary" and cells.nunique() > 2:
            text["column"][index]["kind"] = "categorical"
            changes.append(f"column {column.name!r}: {cells.nunique()} values now, binary -> categorical")
    return changes


def _groups(card: Card, table: pd.DataFrame) -> list[str]:
    """Values that no group names, and what becomes of their rows."""
    changes = []
    for sensitive in card.sensitive:
        column = table[sensitive.column]
        known = [matches(column, group) for group in sensitive.groups]
        rest = column[~pd.DataFrame(known).any().to_numpy()].dropna()
        if len(rest):
            fate = f"they are in {sensitive.other!r}" if sensitive.other else "they leave the task"
            values = ", ".join(map(repr, map(str, rest.unique()[:6])))
            changes.append(f"{sensitive.name}: {len(rest):,} rows have values that no group names ({values}): {fate}")
    label = table[card.label.column].value_counts()
    if len(label) <= 20:
        held = ", ".join(f"{value} {count:,}" for value, count in label.items())
        changes.append(f"label {card.label.column!r} holds: {held}; class 1: {card.label.meaning}")
    return changes


def _validated(path: Path, text: str) -> Card:
    try:
        card = Card.model_validate(tomllib.loads(text))
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise CardError(f"{path} cannot be brought up to date: {' '.join(str(error).split())}") from error
    return card
