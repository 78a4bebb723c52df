"""A first card for a table that fairmoe has never seen; all that was guessed is marked CHECK, with its reason."""

from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ValidationError

from foundation.hashing import hash_file
from tasks.card import Card, DataError, Rule
from tasks.drafting.edge_list import EdgeGuess, guess_edges
from tasks.drafting.guesses import (
    MOST_CLASSES,
    SUFFIX,
    UNSURE,
    Guess,
    Wishes,
    guess_label,
    guess_sensitive,
    known_column,
    listed,
    other_outcomes,
    two_classes,
    values_of,
    without_suffix,
)
from tasks.drafting.leakage import telling_columns
from tasks.drafting.survey import Cells, Survey, survey
from tasks.drafting.unusable import guess_unit, no_features
from tasks.drafting.words import named_like_a_label, named_like_an_age, plain, words_of
from tasks.formats.opened import plain_name
from tasks.formats.written import Writing, is_number
from tasks.values import is_numeric, matches, sort_key, word

_POSITIVE = re.compile(
    r"^(1|yes|y|true|t|good|pass|passed|approved|accepted|granted|hired|>.*|high|ja|oui|s[ií]|sì|gut|bewilligt|aprobado)$",
    re.I,
)
MOST_GROUPS = 6
GUESS_ALL = Wishes()
USUAL_AGE, LEAST_OF_AGE = 25, 20
"""Where ages are cut if that leaves so many rows on both sides, and a twentieth of all."""


@dataclass(frozen=True)
class Draft:
    """Text of a card, and what was guessed for it."""

    text: str
    guesses: tuple[Guess, ...]


def draft(
    path: Path, folder: Path | None = None, wishes: Wishes = GUESS_ALL, edges: Path | None = None, origin: str = ""
) -> Draft:
    """A card for a table, with the reason of each guess.

    Kinds, label and sensitive attributes are guessed from names and values; comments say what to check. The text is
    a valid card as it is.

    Parameters
    ----------
    path : Path
        The file: CSV (any usual separator and encoding, with or without header, packed or not), Parquet, Feather,
        .xlsx or ARFF.
    folder : Path, optional
        Where the card will lie, to write the file's path relative to it; default: beside the file.
    wishes : Wishes
        Label, class 1 and sensitive columns where the user says them.
    edges : Path, optional
        A list of edges between the rows.
    origin : str
        Where the file is from, for the card's homepage.

    Raises
    ------
    DataError
        If the file is missing, is no table, or holds no column that could be a label or a sensitive attribute, or if
        it has not what the user names.
    """
    plan = _planned(path, survey(path, wishes.sheet), wishes)
    edge = guess_edges(edges, plan.found.table) if edges else None
    guesses = (*plan.guesses, *((Guess("edges", edge.key or "row numbers", edge.reason),) if edge else ()))
    text = _text(path, folder or path.parent, plan, edges, edge, origin)
    try:
        Card.model_validate(tomllib.loads(text))
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"No card can be drafted for {path}: its columns or values have names that break it ({reason})."
        ) from error
    return Draft(text, guesses)


@dataclass(frozen=True)
class _Plan:
    """What each column of a table is to be."""

    found: Survey
    label: pd.Series
    positive: tuple[str, str, str]
    sensitive: list[str]
    features: list[str]
    dropped: dict[str, str]
    unit: str
    telling: dict[str, float]
    others: list[str]
    guesses: tuple[Guess, ...]
    why: str


def _planned(path: Path, found: Survey, wishes: Wishes) -> _Plan:
    table = found.table
    wanted = [known_column(table, name, "--sensitive") for name in wishes.sensitive]
    label = known_column(table, wishes.label, "--label") if wishes.label else ""
    unit = guess_unit(table, {label, *wanted})
    dropped = {
        name: why
        for name, why in no_features(table, Writing(found.read.decimal, found.read.thousands)).items()
        if name not in (label, *wanted)
    }
    if unit:
        why = dropped.get(unit, "")
        dropped[unit] = (
            f"CHECK: {table[unit].nunique()} different values, each in several rows: split_unit keeps them "
            f"together{'; ' + why.removeprefix('CHECK: ') if why else ''}"
        )
    rest = [name for name in table.columns if name not in dropped]
    if not rest:
        raise DataError(f"No column of {path} can be a feature ({dropped}).")
    label, reason = (label, "as you say") if label else guess_label(table, [n for n in rest if n not in wanted])
    classes = without_suffix(table[label])
    positive = _classes(classes, wishes)
    dropped |= other_outcomes(table, [name for name in rest if name not in (label, *wanted)])
    rest = [name for name in rest if name not in dropped]
    sensitive, why = (
        (wanted, "as you say") if wanted else guess_sensitive(table, [n for n in rest if n != label], MOST_GROUPS)
    )
    _refuse_empty(table, sensitive)
    features = [name for name in rest if name != label]
    telling = telling_columns(table[features], _labels(classes, positive[0]))
    others = [
        n for n in table.columns if n != label and named_like_a_label(n) and 1 < table[n].nunique() <= MOST_CLASSES
    ]
    guesses = (
        Guess("label", label, f"{reason}: {listed(classes) if classes.nunique() <= MOST_CLASSES else 'numbers'}"),
        Guess(
            "class 1", positive[1], "as you say" if wishes.positive else "reads like the better outcome, or the last"
        ),
        *(Guess("sensitive", name, f"{why}: {_groups_in_words(table[name])}") for name in sensitive),
        *((Guess("split_unit", unit, "named like persons, each in several rows"),) if unit else ()),
        *(Guess("no feature", name, why.removeprefix("CHECK: ")) for name, why in dropped.items()),
        *(Guess("leak?", name, f"it alone tells the label (AUC {auc:.3f})") for name, auc in telling.items()),
    )
    guesses = tuple(sorted(guesses, key=lambda guess: not guess.reason.startswith(UNSURE)))  # what is unsure is first
    return _Plan(found, classes, positive, sensitive, features, dropped, unit, telling, others, guesses, why)


def _refuse_empty(table: pd.DataFrame, sensitive: list[str]) -> None:
    for name in sensitive:
        if table[name].nunique() < 2:
            held = f"one value ({listed(table[name])})" if table[name].nunique() else "no value"
            raise DataError(
                f"The sensitive column {name!r} holds {held} in {len(table)} rows: there is no second group to compare "
                "with. Name other columns with --sensitive A,B."
            )


def _labels(column: pd.Series, rule: str) -> np.ndarray:
    """[n] float64: 1, 0, NaN without a label."""
    passed = matches(column, Rule.model_validate(tomllib.loads(f"rule = {{ {rule} }}")["rule"])).astype(np.float64)
    return np.where(column.isna().to_numpy(), np.nan, passed)


def _groups_in_words(column: pd.Series) -> str:
    if is_numeric(column) and column.nunique() > MOST_GROUPS:
        cut, _ = _cut(column)
        return f"below {cut:g} {int((column < cut).sum())}, {cut:g} or more {int((column >= cut).sum())}"
    return listed(column, MOST_GROUPS)


def _text(path: Path, folder: Path, plan: _Plan, edges: Path | None, edge: EdgeGuess | None, origin: str) -> str:
    table, shorts = plan.found.table, _shorts(plan.sensitive)
    return "\n".join(
        [
            _head(path, plan, shorts[plan.sensitive[0]], edge is not None, origin),
            _file(path, folder),
            *([_file(edges, folder, "edges")] if edges else []),
            _read_block(plan.found, suffix=not plan.label.equals(table[plan.label.name])),
            _label_block(plan),
            _text_block(plan),
            *(_sensitive_block(table[name], shorts[name], plan.why) for name in plan.sensitive),
            _drop_block(plan.dropped),
            *([_edge_block(edges, folder, edge)] if edges and edge else []),
            *(_column_block(table[name], plan) for name in plan.features),
        ]
    )


def _shorts(names: list[str]) -> dict[str, str]:
    """A short name for every attribute, no two alike."""
    shorts: dict[str, str] = {}
    for name in names:
        short, number = _short(name), 2
        while short in shorts.values():
            short, number = f"{_short(name)}_{number}", number + 1
        shorts[name] = short
    return shorts


def _head(path: Path, plan: _Plan, default: str, graph: bool, origin: str) -> str:
    stem = plain_name(path).split(".")[0]
    name = plain(stem) or "data"
    name = name if name[0].isalpha() else f"data_{name}"
    unit = f"split_unit = {_quoted(plan.unit)}  # CHECK: do equal values mean the same person?\n" if plan.unit else ""
    return f"""# Drafted from {_quoted(path.name)}.
# Read every line marked CHECK: the card works, but guesses may be wrong.
name = {_quoted(name)}
title = {_quoted(words_of(stem))}
description = "CHECK: what a row is, where and when the data were collected"
homepage = {_quoted(origin)}
licence = "CHECK: unknown"
citation = "CHECK: unknown"
rows = {len(plan.found.table)}
default_sensitive = {_quoted(default)}
{'modality = "graph"' + chr(10) if graph else ""}{unit}"""


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def _file(path: Path, folder: Path, role: str = "table") -> str:
    return f"""[[file]]
name = {_quoted(_relative(path, folder))}  # relative to this card
role = "{role}"
sha256 = "{hash_file(path)}"
bytes = {path.stat().st_size}
url = ""  # CHECK: where others can get the file
"""


def _edge_block(path: Path, folder: Path, edge: EdgeGuess) -> str:
    return f"""[edges]
file = {_quoted(_relative(path, folder))}
separator = {_quoted(edge.separator)}
key = {_quoted(edge.key)}  # CHECK: {edge.reason}
meaning = "CHECK: what joins two rows"
"""


def _read_block(found: Survey, suffix: bool) -> str:
    read = found.read
    emptied = "; ".join(f"{_quoted(w)}: {_where(cells)}" for w, cells in found.missing.items())
    missing = (
        f"CHECK: do these mean missing? {emptied}" if emptied else "text that means missing; empty cells always do"
    )
    kept = "".join(
        f"# CHECK: {_quoted(w)} is a value like others, {_where(cells)}; if it means missing, add it to missing\n"
        for w, cells in found.kept.items()
    )
    blanks = f"  # CHECK: blanks are cut, {_where(found.blanks)}" if found.blanks else ""
    cut = f'strip_suffix = "{SUFFIX}"  # CHECK: some labels end in {SUFFIX}, which is cut\n' if suffix else ""
    return f"""[read]
{_shape(found)}strip = {str(read.strip).lower()}{blanks}
{cut}missing = {_list(read.missing)}  # {missing}
{kept}"""


def _shape(found: Survey) -> str:
    """Format, separator, encoding, decimal sign, sheet, header and names."""
    read = found.read
    if read.format != "csv":
        sheet = f"sheet = {_quoted(read.sheet)}\n" if read.sheet else ""
        return f'format = "{read.format}"\n{sheet}'
    first = ", ".join(_quoted(cell) for cell in found.first[:6])
    held = "names" if read.header else "values, so that the file has no names"
    unsure = "" if found.header_sure else f"  # CHECK: does the first line hold {held}? It is {first}"
    names = "" if read.header else f"names = {_list(found.table.columns)}  # CHECK: give the columns real names\n"
    older = "  # CHECK: the file is no UTF-8; are its letters right?" if read.encoding in ("cp1252", "latin-1") else ""
    encoding = "" if read.encoding == "utf-8" else f'encoding = "{read.encoding}"{older}\n'
    signs = ", ".join(_quoted(name) for name in found.signs[:6])
    decimal = f'decimal = ","  # CHECK: numbers with a decimal comma in {signs}\n' if read.decimal == "," else ""
    if read.thousands:
        decimal += f"thousands = {_quoted(read.thousands)}  # CHECK: numbers with separated thousands in {signs}\n"
    return f"""separator = {_quoted(read.separator)}
{encoding}{decimal}header = {str(read.header).lower()}{unsure}
{names}"""


def _where(cells: Cells) -> str:
    """3 cells of "age" and 1 of "job"."""
    parts = [f"{count} {'cells ' if not i else ''}of {_quoted(name)}" for i, (name, count) in enumerate(cells.items())]
    return ", ".join(parts[:6]) + (f" and more in {len(parts) - 6} columns" if len(parts) > 6 else "")


def _label_block(plan: _Plan) -> str:
    column, (rule, meaning, other) = plan.label, plan.positive
    name, wild = str(column.name), plan.found.wild.get(str(column.name), {})
    count = int(column.isna().sum())
    gone = ([""] if count > sum(wild.values()) else []) + list(wild)
    unlabelled = f"unlabelled = {_list(gone)}  # CHECK: {count} rows without a label leave the task\n" if gone else ""
    also = f" Not {', '.join(map(_quoted, plan.others[:6]))}?" if plan.others else ""
    held = f"  (rows: {_comment(listed(column))})" if column.nunique() <= MOST_CLASSES else ""
    return f"""[label]
column = {_quoted(name)}  # CHECK: is this what is to be predicted?{also}
positive = {{ {rule} }}  # CHECK: which values are class 1?{held}
meaning = {_quoted(f"{words_of(name)} is {meaning}")}
negative_meaning = {_quoted(f"{words_of(name)} is {other}")}
{unlabelled}"""


def _classes(column: pd.Series, wishes: Wishes) -> tuple[str, str, str]:
    """Rule of class 1, and words for class 1 and class 0.

    Raises
    ------
    DataError
        If the label is constant, has no value of the wanted name, or has several texts and none was named.
    """
    values = list(values_of(column))
    if len(values) < 2:
        raise DataError(
            f"The label {column.name!r} has {'one value' if values else 'no value'} ({listed(column) or 'all empty'}): "
            "there is nothing to predict. Name another column with --label."
        )
    if wishes.positive:
        wanted = wishes.positive if wishes.positive in values else word(_number_or_text(wishes.positive))
        if wanted not in values:
            raise DataError(
                f"--positive: the label {column.name!r} has no value {wishes.positive!r}; it has {listed(column)}."
            )
        others = [value for value in values if value != wanted]
        return f"equals = [{_quoted(wanted)}]", wanted, " or ".join(others[:6])
    if two_classes(column):
        positive = next((v for v in values if _POSITIVE.match(v)), values[-1])
        return f"equals = [{_quoted(positive)}]", positive, next(v for v in values if v != positive)
    if not is_numeric(column) or (wishes.label and len(values) <= MOST_GROUPS):
        raise DataError(
            f"The label {column.name!r} has {len(values)} values ({listed(column)}), and labels are binary. "
            "Say which value is class 1 (all others are class 0): --positive VALUE."
        )
    middle = float(column.median())
    if not (column > middle).any():
        middle = float(column[column < column.max()].max())
    return f"above = {middle!r}", f"above {middle:g}", f"{middle:g} or less"


def _number_or_text(text: str) -> float | str:
    return float(text) if is_number(text) else text


def _text_block(plan: _Plan) -> str:
    """Words for language models; the answers stay yes and no."""
    question = f"Is {words_of(str(plan.label.name))} {plan.positive[1]}?"
    return f"""# Rows as text: "The person's age is 23 years." and then the question.
[text]
subject = "the person"  # CHECK: what a row is, such as the applicant
question = {_quoted(question)}  # CHECK: in plain words; yes means class 1
"""


def _sensitive_block(column: pd.Series, short: str, reason: str) -> str:
    name, ask = str(column.name), "CHECK: is fairness to be measured for these groups?"
    ask = reason if reason.startswith(UNSURE) else ask
    counts = column.dropna().map(word).value_counts()
    why = ""
    if is_numeric(column) and len(counts) > MOST_GROUPS:
        (groups, why), other, alike = _ranges(column), "", ""
    else:
        kept = sorted(counts.index[:MOST_GROUPS], key=sort_key)
        called = [f"{words_of(name)} {v}" if is_number(v) else v for v in kept]
        groups = [
            f"{{ name = {_quoted(c)}, equals = [{_quoted(v)}] }},  # {counts[v]} rows"
            for c, v in zip(called, kept, strict=True)
        ]
        other = _other(counts, called) if len(counts) > MOST_GROUPS else ""
        alike = _alike(list(counts.index))
    empty = int(column.isna().sum())
    missing = f'missing = "leave"  # CHECK: {empty} rows without a value leave the task\n' if empty else ""
    lines = "".join(f"    {group}\n" for group in groups)
    return f"""[[sensitive]]  # {ask}
name = {_quoted(short)}
column = {_quoted(name)}
{alike}groups = [{why}
{lines}]
{other}{missing}"""


def _ranges(column: pd.Series) -> tuple[list[str], str]:
    """Two groups of numbers, and why they are cut where they are."""
    cut, reason = _cut(column)
    groups = [
        f'{{ name = "below {cut:g}", below = {cut!r} }},  # {int((column < cut).sum())} rows',
        f'{{ name = "{cut:g} or more", at_least = {cut!r} }},  # {int((column >= cut).sum())} rows',
    ]
    return groups, f"  # CHECK: cut at {reason}"


def _cut(column: pd.Series) -> tuple[float, str]:
    """Where numbers are cut in two groups: ages at 25 if both have rows enough, else the median."""
    if named_like_an_age(str(column.name)):
        young, old = int((column < USUAL_AGE).sum()), int((column >= USUAL_AGE).sum())
        if min(young, old) >= max(LEAST_OF_AGE, len(column) / 20):
            return float(USUAL_AGE), f"{USUAL_AGE}, as is usual for ages"
    middle = float(column.median())
    if not (column < middle).any():
        middle = float(column[column > column.min()].min())
    return middle, "the median"


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


def _column_block(column: pd.Series, plan: _Plan) -> str:
    name, distinct, empty = str(column.name), column.nunique(), int(column.isna().sum())
    wild = plan.found.wild.get(name, {})
    kind = "binary" if distinct == 2 else "numeric" if is_numeric(column) and distinct > 1 else "categorical"
    check = "  # CHECK: numbers, or codes of categories?" if kind == "numeric" and distinct <= 12 else ""
    if distinct == 1:
        check = f"  # CHECK: one value, and {empty} empty cells: does empty mean no?"
    codes = f"missing = {_list(wild)}  # CHECK: {sum(wild.values())} cells that no feature can hold\n" if wild else ""
    leak = (
        f"  # CHECK: it alone tells the label (AUC {plan.telling[name]:.3f}); if it is known only afterwards, "
        "move it to [drop]"
        if name in plan.telling
        else ""
    )
    return f"""[[column]]
name = {_quoted(name)}{leak}
kind = "{kind}"{check}
text = {_quoted(words_of(name))}
{codes}"""


def _short(name: str) -> str:
    """Name of an attribute in task names: no blanks, colons or plus signs."""
    return plain(name) or "attribute"


def _comment(text: str) -> str:
    """Text that stays in its comment: no line ends or controls."""
    return "".join(char if char.isprintable() else " " for char in text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(texts: object) -> str:
    return "[" + ", ".join(_quoted(str(text)) for text in texts) + "]"  # type: ignore[attr-defined]
