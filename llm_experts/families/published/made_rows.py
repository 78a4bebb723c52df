"""Queries compared where there are schemas and no rows: by what they give on several databases of random rows.

The idea is that of test suites (Zhong, Yu and Klein 2020, "Semantic Evaluation for Text-to-SQL with Distilled Test
Suites"): rows are drawn around the constants of the right query, so that another query gives another result on one of
the databases. A database on which the right query's own result depends on the order of rows (a tie before a LIMIT) is
left out, and those on which it gives something come first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from foundation.seeding import numpy_generator
from llm_experts.data.error import DataError
from llm_experts.families.family import Verdict
from llm_experts.families.shared.answers import query_in
from llm_experts.families.shared.words import CITIES, COLOURS, JOBS, NAMES
from llm_experts.families.sqlite import Result, run_sql, same_rows

DATABASES, TRIES = 8, 24
SIZES = (3, 6, 12, 24)
"""Rows of a table."""
SCALES = (4, 30, 2000)
"""Largest number of a column that no constant is compared with."""
WORDS = tuple(dict.fromkeys((*NAMES, *CITIES, *COLOURS, *JOBS)))
NEAR = (0.3, 0.9)
"""Probability that a cell is drawn from the constants that its column is compared with: in half of the rows each."""
CONSTANT = r"""('(?:[^']|'')*'|"[^"]*"|-?[0-9]+(?:\.[0-9]+)?)"""
COMPARED = re.compile(rf"(\w+)\s*(?:=|!=|<>|<=|>=|<|>|\blike\b|\bnot\s+like\b)\s*{CONSTANT}", re.I)
BETWEEN = re.compile(rf"(\w+)\s+between\s+{CONSTANT}\s+and\s+{CONSTANT}", re.I)
COMPUTED = re.compile(r"\b(?:avg|sum)\s*\(\s*(?:distinct\s+)?(?:\w+\.)?(\w+)", re.I)
Value = str | int | float
Rows = dict[str, list[list[Value]]]


@dataclass(frozen=True)
class Column:
    """A column of a table that rows are made for.

    Attributes
    ----------
    name : str
    kind : str
        ``text`` or ``number``.
    pool : str
        Columns with the same word share values, as keys do; "": values of its own.
    unique : bool
        No value twice.
    """

    name: str
    kind: str
    pool: str = ""
    unique: bool = False


def schema_of(tables: Mapping[str, Sequence[Column]], *, text: str = "TEXT") -> list[str]:
    """``CREATE TABLE`` statements; ``text`` is the type of columns of text."""
    kinds = {"text": text, "number": "NUMERIC"}
    return [
        f'CREATE TABLE "{name}" ({", ".join(f"{_quoted(column.name)} {kinds[column.kind]}" for column in columns)})'
        for name, columns in tables.items()
    ]


def facts_of(tables: Mapping[str, Sequence[Column]], query: str, *, text: str = "TEXT") -> dict[str, Any]:
    """What :func:`judged` needs of an item, as plain JSON."""
    made = {name: [[c.name, c.kind, c.pool, c.unique] for c in columns] for name, columns in tables.items()}
    return {"schema": schema_of(tables, text=text), "tables": made, "query": query, "ordered": ordered(query)}


def judged(facts: Mapping[str, Any], answer: str) -> Verdict:
    """Whether the query of an answer gives what the right one gives on every database."""
    query = query_in(answer)
    for rows, wanted in databases(json.dumps({key: facts[key] for key in ("schema", "tables", "query", "ordered")})):
        found = run_sql(facts["schema"], rows, query)
        if not found.ok:
            return Verdict(False, f"the query does not run: {found.reason}")
        if not same_rows(found, wanted, ordered=facts["ordered"]):
            return Verdict(False, "the query gives another result")
    return Verdict(True)


def ordered(query: str) -> bool:
    """Whether a query asks for an order of all of its result: an ORDER BY outside of parentheses."""
    outside = query
    while (inner := re.sub(r"\([^()]*\)", " ", outside)) != outside:
        outside = inner
    return re.search(r"\border\s+by\b", outside, re.I) is not None


@lru_cache(maxsize=1024)
def databases(facts: str) -> tuple[tuple[Rows, Result], ...]:
    """Rows of every table and the right query's result, for several databases.

    Raises
    ------
    DataError
        If the right query runs on none.
    """
    item = json.loads(facts)
    tables = {name: [Column(*column) for column in columns] for name, columns in item["tables"].items()}
    clear: list[tuple[Rows, Result]] = []
    unclear: list[tuple[Rows, Result]] = []
    for number in range(TRIES):
        rows = made_rows(tables, item["query"], number)
        wanted = run_sql(item["schema"], rows, item["query"])
        if not wanted.ok:
            raise DataError(f"The right query {item['query']!r} does not run on its own tables: {wanted.reason}.")
        turned = {name: own[::-1] for name, own in rows.items()}
        same = same_rows(run_sql(item["schema"], turned, item["query"]), wanted, ordered=item["ordered"])
        (clear if same else unclear).append((rows, wanted))
        if sum(_says_something(result) for _, result in clear) == DATABASES:
            break
    found = sorted(clear or unclear[:1], key=lambda entry: not _says_something(entry[1]))
    return tuple(found[:DATABASES])


def made_rows(tables: Mapping[str, Sequence[Column]], query: str, number: int) -> Rows:
    """Random rows of every table, around the constants of a query; ``number`` says which of its databases."""
    generator = numpy_generator(number, "made rows", query)
    known, computed = constants_in(query), {name.lower() for name in COMPUTED.findall(query)}
    loose = [value for name, values in known.items() if not _is_column(name, tables) for value in values]
    pools: dict[str, list[Value]] = {}
    rows: Rows = {}
    for table, columns in tables.items():
        near_rows = generator.random(int(generator.choice(SIZES))) < 0.5
        cells = []
        for column in columns:
            if column.name.lower() in computed:  # numbers that are kept as text
                column = replace(column, kind="number")
            near = [*known.get(column.name.lower(), ()), *(v for v in loose if _fits(v, column.kind))]
            cells.append(_cells(generator, column, near, _pool(generator, column, near, pools), near_rows))
        rows[table] = [list(row) for row in zip(*cells, strict=False)]  # unique columns may end the table early
    return rows


def constants_in(query: str) -> dict[str, list[Value]]:
    """Constants of a query by the column that they are compared with, in lower case; "" where that is not told."""
    found: dict[str, list[Value]] = {}
    pairs = [(name, value) for name, value in COMPARED.findall(query)]
    pairs += [(name, value) for name, *values in BETWEEN.findall(query) for value in values]
    for name, text in pairs:
        found.setdefault(name.lower(), []).append(_constant(text))
    told = {value for values in found.values() for value in values}
    others = [_constant(text) for text in re.findall(CONSTANT, query)]
    found.setdefault("", []).extend(value for value in others if value not in told)
    return found


def _pool(
    generator: np.random.Generator, column: Column, near: Sequence[Value], pools: dict[str, list[Value]]
) -> list[Value]:
    """What a column's other cells are drawn from."""
    if column.pool in pools:
        return pools[column.pool]
    if column.unique or column.pool:
        wide: list[Value] = (
            list(range(1, max(SIZES) + 2)) if column.kind == "number" else list(_words(generator, max(SIZES) + 1))
        )
    elif column.kind == "number":
        scale = int(generator.choice(SCALES))
        wide = [int(value) for value in generator.integers(0, scale, 12, endpoint=True)]
    else:
        wide = list(_words(generator, 5))
    pool = list(dict.fromkeys([*near, *wide])) if column.unique or column.pool else wide
    if column.pool:
        pools[column.pool] = pool
    return pool


def _cells(
    generator: np.random.Generator, column: Column, near: Sequence[Value], pool: list[Value], near_rows: np.ndarray
) -> list[Value]:
    if column.unique:
        return [pool[index] for index in generator.permutation(len(pool))[: len(near_rows)].tolist()]
    cells = []
    for flag in near_rows.tolist():
        if near and generator.random() < NEAR[flag]:
            cells.append(_about(generator, near[int(generator.integers(len(near)))]))
        else:
            cells.append(pool[int(generator.integers(len(pool)))])
    return cells


def _about(generator: np.random.Generator, value: Value) -> Value:
    """A constant, or something next to it: what tells < from <=, and LIKE from =."""
    chance = generator.random()
    if isinstance(value, str):
        if chance < 0.1:
            return value[:-1]
        return value if chance > 0.25 else value + WORDS[int(generator.integers(len(WORDS)))]
    return value if chance < 0.4 else value + (1 if chance < 0.7 else -1)


def _words(generator: np.random.Generator, count: int) -> list[str]:
    return [WORDS[index] for index in generator.permutation(len(WORDS))[:count].tolist()]


def _constant(text: str) -> Value:
    """The value of a literal; the wild cards of a pattern are left out."""
    if text[0] in "'\"":
        return text[1:-1].replace("''", "'").replace("%", "")
    return float(text) if "." in text else int(text)


def _fits(value: Value, kind: str) -> bool:
    return isinstance(value, str) == (kind == "text")


def _is_column(name: str, tables: Mapping[str, Sequence[Column]]) -> bool:
    return any(column.name.lower() == name for columns in tables.values() for column in columns)


def _says_something(result: Result) -> bool:
    """Whether a result has a row with a value that is not null or nought."""
    return any(value not in (None, 0, 0.0) for row in result.rows for value in row)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
