"""A first card for a CSV that fairmoe has never seen; everything that was guessed is marked CHECK."""

from __future__ import annotations

import csv
import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from foundation.hashing import hash_file
from tasks.card import Card, DataError
from tasks.values import is_numeric, sort_key, word

MISSING_WORDS = ("?", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None")
_LABEL = re.compile(
    r"label|target|class|outcome|result|good|default|approv|hired|admit|pass|income|risk|recid|^y$|churn", re.I
)
_SENSITIVE = re.compile(
    r"sex|gender|race|ethnic|\bage\b|^age|age$|relig|marital|nation|foreign|disab|birth|skin|minority", re.I
)
_POSITIVE = re.compile(r"^(1|yes|y|true|t|good|pass|passed|approved|accepted|hired|>.*|high)$", re.I)
_IDENTIFIER = re.compile(r"(^|[_\W])(id|key|uuid|index|name|email|phone)$|^(id|index|(?i:unnamed))\b|\bid$|Id$|ID$")
MOST_GROUPS = 6
OTHERS = ("all others", *(f"all others ({k})" for k in range(2, MOST_GROUPS + 2)))
"""Names of the group of all other values: the first that is no value itself."""


@dataclass(frozen=True)
class _Found:
    """What was found in the file."""

    separator: str
    header: bool
    strip: bool
    missing: tuple[str, ...]
    table: pd.DataFrame


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
    found = _look(csv_path)
    dropped = _dropped(found.table)
    rest = [name for name in found.table.columns if name not in dropped]
    if not rest:
        raise DataError(f"No column of {csv_path} can be a feature ({dropped}).")
    label = _label(found.table, rest)
    sensitive = _sensitive(found.table, [name for name in rest if name != label])
    text = "\n".join(
        [
            _head(csv_path, found, sensitive[0]),
            _file(csv_path, folder or csv_path.parent, found),
            _label_block(found.table[label]),
            _text_block(found.table[label]),
            _sensitive_blocks(found.table, sensitive),
            _drop_block(dropped),
            *(_column_block(found.table[name]) for name in rest if name != label),
        ]
    )
    try:
        Card.model_validate(tomllib.loads(text))
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise DataError(
            f"No card can be drafted for {csv_path}: its columns or values have names that break it ({error})."
        ) from error
    return text


def _look(path: Path) -> _Found:
    if not path.is_file():
        raise DataError(f"There is no file {path}; give the path of a CSV.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            sample = stream.read(1 << 18)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error}); convert it first.") from error
    separator = _separator(sample, path)
    lines = list(csv.reader(sample.splitlines()[:200], delimiter=separator))
    body = any(_is_number(cell) for line in lines[1:] for cell in line)
    header = not any(_is_number(cell) for cell in lines[0]) and (body or len(set(lines[0])) == len(lines[0]))
    strip = sum(cell.startswith(" ") for line in lines[1:] for cell in line[1:]) > len(lines) / 2
    options = {"sep": separator, "header": 0 if header else None, "skipinitialspace": strip, "encoding": "utf-8-sig"}
    try:
        text = pd.read_csv(path, dtype=str, keep_default_na=False, **options)  # type: ignore[call-overload]
        missing = tuple(w for w in MISSING_WORDS if (text == w).to_numpy().any())
        table = pd.read_csv(path, keep_default_na=False, na_values=["", *missing], low_memory=False, **options)  # type: ignore[call-overload]
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path} cannot be read as a table separated by {separator!r} ({error}).") from error
    table.columns = [str(name) if header else f"column_{name}" for name in table.columns]
    if len(table) < 20 or table.shape[1] < 3:
        raise DataError(
            f"{path} has {len(table)} rows and {table.shape[1]} columns; a task needs 20 rows and 3 columns at least."
        )
    return _Found(separator, header, strip, missing, table)


def _separator(sample: str, path: Path) -> str:
    """The separator that cuts the first lines into the same number of cells, as many as possible."""
    lines = [line for line in sample.splitlines()[:50] if line][:-1] or sample.splitlines()
    best, cells = ",", 1
    for separator in (",", ";", "\t", "|"):
        counts = {len(line) for line in csv.reader(lines, delimiter=separator, skipinitialspace=True)}
        if len(counts) == 1 and min(counts) > cells:
            best, cells = separator, min(counts)
    if cells == 1:
        raise DataError(f"{path} is not a table: its lines do not hold the same number of cells with any of , ; tab |.")
    return best


def _dropped(table: pd.DataFrame) -> dict[str, str]:
    """Columns that cannot be features, with the reason."""
    reasons = {}
    for name in table.columns:
        values, distinct = table[name], table[name].nunique()
        if distinct <= 1:
            reasons[name] = "constant"
        elif distinct == len(values) and (_IDENTIFIER.search(name) or not is_numeric(values)):
            reasons[name] = "CHECK: looks like an identifier, every row has another value"
        elif not is_numeric(values) and distinct > max(100, len(values) // 20):
            reasons[name] = f"CHECK: {distinct} different texts, too many for categories"
    return reasons


def _label(table: pd.DataFrame, names: list[str]) -> str:
    two = [name for name in names if table[name].nunique() == 2 and not _SENSITIVE.search(name)]
    named = [name for name in two if _LABEL.search(name)]
    numbers = [name for name in names if is_numeric(table[name]) and not _SENSITIVE.search(name)]
    ends = [name for name in (names[-1], names[0]) if name in two]
    guesses = (
        named[-1:] or ends[:1] or two[-1:] or [name for name in numbers if _LABEL.search(name)][-1:] or numbers[-1:]
    )
    if not guesses:
        raise DataError(
            "No column could be a label: none has two values or holds numbers. Add one and draft the card again."
        )
    return guesses[0]


def _sensitive(table: pd.DataFrame, names: list[str]) -> list[str]:
    named = [name for name in names if _SENSITIVE.search(_words(name).replace(" ", "_")) or _SENSITIVE.search(name)]
    named.sort(
        key=lambda name: 0 if re.search("sex|gender", name, re.I) else 1 if re.search("race|ethnic", name, re.I) else 2
    )
    few = [name for name in names if table[name].nunique() <= MOST_GROUPS]
    chosen = named or few[:1] or names[:1]
    if not chosen:
        raise DataError("No column is left that could be a sensitive attribute. Add one and draft the card again.")
    return chosen


def _head(path: Path, found: _Found, default: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", path.name.split(".")[0].lower()).strip("_") or "data"
    name = name if name[0].isalpha() else f"data_{name}"
    return f"""# Drafted from {path.name}. Read every line marked CHECK: the card works, but guesses may be wrong.
name = {_quoted(name)}
title = {_quoted(_words(path.name.split(".")[0]))}
description = "CHECK: what a row is, where and when the data were collected"
licence = "CHECK: unknown"
citation = "CHECK: unknown"
rows = {len(found.table)}
default_sensitive = {_quoted(_short(default))}
"""


def _file(path: Path, folder: Path, found: _Found) -> str:
    names = "" if found.header else f"names = {_list(found.table.columns)}  # CHECK: give the columns real names\n"
    return f"""[[file]]
name = {_quoted(Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix())}  # relative to this card
sha256 = "{hash_file(path)}"
bytes = {path.stat().st_size}
url = ""  # CHECK: where others can get the file

[read]
separator = {_quoted(found.separator)}
header = {str(found.header).lower()}
{names}strip = {str(found.strip).lower()}
missing = {_list(found.missing)}  # text that means missing; empty cells always do
"""


def _label_block(column: pd.Series) -> str:
    rule, meaning, other = _classes(column)
    unlabelled = 'unlabelled = [""]  # rows without a label leave the task\n' if column.isna().any() else ""
    return f"""[label]
column = {_quoted(str(column.name))}  # CHECK: is this what is to be predicted?
positive = {{ {rule} }}  # CHECK: which values are class 1?
meaning = {_quoted(f"{_words(str(column.name))} is {meaning}")}
negative_meaning = {_quoted(f"{_words(str(column.name))} is {other}")}
{unlabelled}"""


def _classes(column: pd.Series) -> tuple[str, str, str]:
    """Rule of class 1, and words for class 1 and class 0."""
    values = sorted((word(v) for v in column.dropna().unique()), key=sort_key)
    if len(values) == 2:
        positive = next((v for v in values if _POSITIVE.match(v)), values[-1])
        return f"equals = [{_quoted(positive)}]", positive, next(v for v in values if v != positive)
    middle = float(column.median())
    return f"above = {middle!r}", f"above {middle:g}", f"{middle:g} or less"


def _text_block(column: pd.Series) -> str:
    """Words for language models; the answers stay yes and no."""
    question = f"Is {_words(str(column.name))} {_classes(column)[1]}?"
    return f"""# Rows as text: "The person's age is 23 years." and then the question.
[text]
subject = "the person"  # CHECK: what a row is, such as the applicant
question = {_quoted(question)}  # CHECK: in plain words; yes means class 1
"""


def _sensitive_blocks(table: pd.DataFrame, names: list[str]) -> str:
    return "\n".join(_sensitive_block(table[name]) for name in names)


def _sensitive_block(column: pd.Series) -> str:
    name = str(column.name)
    counts = column.dropna().map(word).value_counts()
    if is_numeric(column) and len(counts) > MOST_GROUPS:
        middle = float(column.median())
        if not (column < middle).any():
            middle = float(column[column > column.min()].min())
        groups = [
            f'{{ name = "below {middle:g}", below = {middle!r} }}',
            f'{{ name = "{middle:g} or more", at_least = {middle!r} }}',
        ]
        other = ""
    else:
        kept = sorted(counts.index[:MOST_GROUPS], key=sort_key)
        called = [f"{_words(name)} {v}" if _is_number(v) else v for v in kept]
        groups = [f"{{ name = {_quoted(c)}, equals = [{_quoted(v)}] }}" for c, v in zip(called, kept, strict=True)]
        free = next(words for words in OTHERS if words not in called)
        other = f"other = {_quoted(free)}\n" if len(counts) > MOST_GROUPS else ""
    missing = 'missing = "leave"  # CHECK: rows without a value leave the task\n' if column.isna().any() else ""
    lines = "".join(f"    {group},\n" for group in groups)
    return f"""[[sensitive]]  # CHECK: is fairness to be measured for these groups?
name = {_quoted(_short(name))}
column = {_quoted(name)}
groups = [
{lines}]
{other}{missing}"""


def _drop_block(dropped: dict[str, str]) -> str:
    lines = "".join(f"{_quoted(name)} = {_quoted(reason)}\n" for name, reason in dropped.items())
    return f"# Columns that are no features. CHECK: move what gives the label away here.\n[drop]\n{lines}"


def _column_block(column: pd.Series) -> str:
    distinct = column.nunique()
    kind = "binary" if distinct == 2 else "numeric" if is_numeric(column) else "categorical"
    few = "  # CHECK: numbers, or codes of categories?" if kind == "numeric" and distinct <= 12 else ""
    return f"""[[column]]
name = {_quoted(str(column.name))}
kind = "{kind}"{few}
text = {_quoted(_words(str(column.name)))}
"""


def _words(name: str) -> str:
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return re.sub(r"[^0-9A-Za-z]+", " ", spaced).strip().lower() or name


def _short(name: str) -> str:
    """Name of an attribute in task names: no blanks, colons or plus signs."""
    return re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_").lower() or "attribute"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(texts: object) -> str:
    return "[" + ", ".join(_quoted(str(text)) for text in texts) + "]"  # type: ignore[attr-defined]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
