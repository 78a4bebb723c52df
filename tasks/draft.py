"""A first card for a CSV that fairmoe has never seen; everything that was guessed is marked CHECK."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from foundation.hashing import hash_file
from tasks.card import Card, DataError
from tasks.guesses import (
    SUFFIX,
    guess_label,
    guess_sensitive,
    named_like_a_label,
    no_features,
    two_classes,
    without_suffix,
    words_of,
)
from tasks.survey import Cells, Survey, is_number, survey
from tasks.values import is_numeric, sort_key, word

_POSITIVE = re.compile(r"^(1|yes|y|true|t|good|pass|passed|approved|accepted|hired|>.*|high)$", re.I)
MOST_GROUPS = 6
MOST_CLASSES = 20


def draft_card(csv_path: Path, folder: Path | None = None) -> str:
    """TOML text of a card for a CSV file.

    Kinds, label and sensitive attributes are guessed from names and values; comments say what to check. The text is
    a valid card as it is.

    Parameters
    ----------
    csv_path : Path
        The file; comma, semicolon, tab or bar separated, with or without header.
    folder : Path, optional
        Where the card will lie, to write the file's path relative to it; default: beside the CSV.

    Raises
    ------
    DataError
        If the file is missing, is no table, or holds no column that could be a label or a sensitive attribute.
    """
    found = survey(csv_path)
    dropped = no_features(found.table)
    rest = [name for name in found.table.columns if name not in dropped]
    if not rest:
        raise DataError(f"No column of {csv_path} can be a feature ({dropped}).")
    label = guess_label(found.table, rest)
    classes = without_suffix(found.table[label])
    sensitive = guess_sensitive(found.table, [name for name in rest if name != label], MOST_GROUPS)
    shorts = _shorts(sensitive)
    others = [n for n in rest if n != label and named_like_a_label(n) and found.table[n].nunique() <= MOST_CLASSES]
    text = "\n".join(
        [
            _head(csv_path, found, shorts[sensitive[0]]),
            _file(csv_path, folder or csv_path.parent),
            _read_block(found, suffix=classes is not found.table[label]),
            _label_block(classes, found.wild.get(label, {}), others),
            _text_block(classes),
            *(_sensitive_block(found.table[name], shorts[name]) for name in sensitive),
            _drop_block(dropped),
            *(_column_block(found.table[name], found.wild.get(name, {})) for name in rest if name != label),
        ]
    )
    try:
        Card.model_validate(tomllib.loads(text))
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"No card can be drafted for {csv_path}: its columns or values have names that break it ({reason})."
        ) from error
    return text


def _shorts(names: list[str]) -> dict[str, str]:
    """A short name for every attribute, no two alike."""
    shorts: dict[str, str] = {}
    for name in names:
        short, number = _short(name), 2
        while short in shorts.values():
            short, number = f"{_short(name)}_{number}", number + 1
        shorts[name] = short
    return shorts


def _head(path: Path, found: Survey, default: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", path.name.split(".")[0].lower()).strip("_") or "data"
    name = name if name[0].isalpha() else f"data_{name}"
    return f"""# Drafted from {_quoted(path.name)}.
# Read every line marked CHECK: the card works, but guesses may be wrong.
name = {_quoted(name)}
title = {_quoted(words_of(path.name.split(".")[0]))}
description = "CHECK: what a row is, where and when the data were collected"
licence = "CHECK: unknown"
citation = "CHECK: unknown"
rows = {len(found.table)}
default_sensitive = {_quoted(default)}
"""


def _file(path: Path, folder: Path) -> str:
    return f"""[[file]]
name = {_quoted(Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix())}  # relative to this card
sha256 = "{hash_file(path)}"
bytes = {path.stat().st_size}
url = ""  # CHECK: where others can get the file
"""


def _read_block(found: Survey, suffix: bool) -> str:
    first = ", ".join(_quoted(cell) for cell in found.first[:6])
    held = "names" if found.header else "values, so that the file has no names"
    unsure = "" if found.header_sure else f"  # CHECK: does the first line hold {held}? It is {first}"
    names = "" if found.header else f"names = {_list(found.table.columns)}  # CHECK: give the columns real names\n"
    blanks = f"  # CHECK: blanks are cut, {_where(found.blanks)}" if found.blanks else ""
    emptied = "; ".join(f"{_quoted(w)}: {_where(cells)}" for w, cells in found.missing.items())
    missing = (
        f"CHECK: do these mean missing? {emptied}" if emptied else "text that means missing; empty cells always do"
    )
    kept = "".join(
        f"# CHECK: {_quoted(w)} is a value like others, {_where(cells)}; if it means missing, add it to missing\n"
        for w, cells in found.kept.items()
    )
    cut = f'strip_suffix = "{SUFFIX}"  # CHECK: some labels end in {SUFFIX}, which is cut\n' if suffix else ""
    return f"""[read]
separator = {_quoted(found.separator)}
header = {str(found.header).lower()}{unsure}
{names}strip = {str(found.strip).lower()}{blanks}
{cut}missing = {_list(found.missing)}  # {missing}
{kept}"""


def _where(cells: Cells) -> str:
    """3 cells of "age" and 1 of "job"."""
    parts = [f"{count} {'cells ' if not i else ''}of {_quoted(name)}" for i, (name, count) in enumerate(cells.items())]
    return ", ".join(parts[:6]) + (f" and more in {len(parts) - 6} columns" if len(parts) > 6 else "")


def _label_block(column: pd.Series, wild: Cells, others: list[str]) -> str:
    rule, meaning, other = _classes(column)
    gone = ([""] if int(column.isna().sum()) > sum(wild.values()) else []) + list(wild)
    count = int(column.isna().sum())
    unlabelled = f"unlabelled = {_list(gone)}  # CHECK: {count} rows without a label leave the task\n" if gone else ""
    also = f" Not {', '.join(map(_quoted, others[:6]))}?" if others else ""
    return f"""[label]
column = {_quoted(str(column.name))}  # CHECK: is this what is to be predicted?{also}
positive = {{ {rule} }}  # CHECK: which values are class 1?
meaning = {_quoted(f"{words_of(str(column.name))} is {meaning}")}
negative_meaning = {_quoted(f"{words_of(str(column.name))} is {other}")}
{unlabelled}"""


def _classes(column: pd.Series) -> tuple[str, str, str]:
    """Rule of class 1, and words for class 1 and class 0."""
    values = sorted((word(v) for v in column.dropna().unique()), key=sort_key)
    if two_classes(column):
        positive = next((v for v in values if _POSITIVE.match(v)), values[-1])
        return f"equals = [{_quoted(positive)}]", positive, next(v for v in values if v != positive)
    middle = float(column.median())
    return f"above = {middle!r}", f"above {middle:g}", f"{middle:g} or less"


def _text_block(column: pd.Series) -> str:
    """Words for language models; the answers stay yes and no."""
    question = f"Is {words_of(str(column.name))} {_classes(column)[1]}?"
    return f"""# Rows as text: "The person's age is 23 years." and then the question.
[text]
subject = "the person"  # CHECK: what a row is, such as the applicant
question = {_quoted(question)}  # CHECK: in plain words; yes means class 1
"""


def _sensitive_block(column: pd.Series, short: str) -> str:
    name = str(column.name)
    counts = column.dropna().map(word).value_counts()
    if is_numeric(column) and len(counts) > MOST_GROUPS:
        groups, other, alike = _ranges(column), "", ""
    else:
        kept = sorted(counts.index[:MOST_GROUPS], key=sort_key)
        called = [f"{words_of(name)} {v}" if is_number(v) else v for v in kept]
        groups = [f"{{ name = {_quoted(c)}, equals = [{_quoted(v)}] }}" for c, v in zip(called, kept, strict=True)]
        other = _other(counts, called) if len(counts) > MOST_GROUPS else ""
        alike = _alike(list(counts.index))
    empty = int(column.isna().sum())
    missing = f'missing = "leave"  # CHECK: {empty} rows without a value leave the task\n' if empty else ""
    lines = "".join(f"    {group},\n" for group in groups)
    return f"""[[sensitive]]  # CHECK: is fairness to be measured for these groups?
name = {_quoted(short)}
column = {_quoted(name)}
{alike}groups = [
{lines}]
{other}{missing}"""


def _ranges(column: pd.Series) -> list[str]:
    """Two groups of numbers, cut at the median."""
    middle = float(column.median())
    if not (column < middle).any():
        middle = float(column[column > column.min()].min())
    return [
        f'{{ name = "below {middle:g}", below = {middle!r} }}',
        f'{{ name = "{middle:g} or more", at_least = {middle!r} }}',
    ]


def _other(counts: pd.Series, called: list[str]) -> str:
    name = "all others"
    while name in called:
        name += " too"
    rare = counts.iloc[MOST_GROUPS:]
    return f"other = {_quoted(name)}  # CHECK: {len(rare)} rarer values, {int(rare.sum())} rows\n"


def _alike(values: list[str]) -> str:
    """A line for values that differ in capitals or blanks alone."""
    seen: dict[str, list[str]] = {}
    for value in sorted(values):
        seen.setdefault(" ".join(value.casefold().split()), []).append(value)
    twins = [" and ".join(map(_quoted, each)) for each in seen.values() if len(each) > 1]
    return f"# CHECK: one group or several? {'; '.join(twins[:6])}\n" if twins else ""


def _drop_block(dropped: dict[str, str]) -> str:
    lines = "".join(f"{_quoted(name)} = {_quoted(reason)}\n" for name, reason in dropped.items())
    return f"# Columns that are no features. CHECK: move what gives the label away here.\n[drop]\n{lines}"


def _column_block(column: pd.Series, wild: Cells) -> str:
    distinct, empty = column.nunique(), int(column.isna().sum())
    kind = "binary" if distinct == 2 else "numeric" if is_numeric(column) and distinct > 1 else "categorical"
    check = "  # CHECK: numbers, or codes of categories?" if kind == "numeric" and distinct <= 12 else ""
    if distinct == 1:
        check = f"  # CHECK: one value, and {empty} empty cells: does empty mean no?"
    codes = f"missing = {_list(wild)}  # CHECK: {sum(wild.values())} cells that no feature can hold\n" if wild else ""
    return f"""[[column]]
name = {_quoted(str(column.name))}
kind = "{kind}"{check}
text = {_quoted(words_of(str(column.name)))}
{codes}"""


def _short(name: str) -> str:
    """Name of an attribute in task names: no blanks, colons or plus signs."""
    return re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_").lower() or "attribute"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(texts: object) -> str:
    return "[" + ", ".join(_quoted(str(text)) for text in texts) + "]"  # type: ignore[attr-defined]
