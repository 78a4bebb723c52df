"""Text to SQL: a question about one or two small tables; the query is run, and its result compared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from llm_experts.data.example import Example
from llm_experts.families.family import Family, Verdict
from llm_experts.families.published.made_rows import judged
from llm_experts.families.shared.answers import query_in
from llm_experts.families.shared.draw import Draw
from llm_experts.families.shared.generated import Made, generated
from llm_experts.families.shared.words import CITIES, COLOURS, JOBS, NAMES, PETS
from llm_experts.families.sqlite import Result, run_sql, same_rows

TABLES = ("people", "shops", "teams", "guests", "farms", "clubs", "hotels", "schools")
WORDS: dict[str, Sequence[str]] = {"city": CITIES, "job": JOBS, "pet": PETS, "colour": COLOURS}
NUMBERS = ("age", "cost", "size", "score", "weight", "rooms")
ROWS, KINDS = 9, 3
"""Rows of a table, and how many different words a column of words has in it."""
CREATED = re.compile(r"CREATE TABLE (\w+) \((.*)\)")
KEYS = ("id", "owner")
"""Columns that share their values: whose a thing is."""
RUNS = 0.2
"""Reward of a query that runs and gives another result."""


class Table:
    """A drawn table: its columns and rows.

    Attributes
    ----------
    name : str
    words, numbers : list of str
        Columns of words and of numbers; numbers of a column are all different, so that every order is one.
    cells : dict
        Values of each column.
    """

    def __init__(self, draw: Draw, name: str, words: int, numbers: int) -> None:
        self.name = name
        self.words, self.numbers = draw.sample(tuple(WORDS), words), draw.sample(NUMBERS, numbers)
        self.cells: dict[str, list[Any]] = {"name": draw.sample(NAMES, ROWS)}
        for column in self.words:
            known = draw.sample(WORDS[column], KINDS)
            self.cells[column] = known + [draw.pick(known) for _ in range(ROWS - KINDS)]
        for column in self.numbers:
            self.cells[column] = draw.sample(range(1, 100), ROWS)

    @property
    def shown(self) -> str:
        """As a prompt names it."""
        return f"{self.name}({', '.join(self.cells)})"

    @property
    def created(self) -> str:
        """Its ``CREATE TABLE``."""
        kinds = (f"{column} {'INTEGER' if column in (*NUMBERS, 'id') else 'TEXT'}" for column in self.cells)
        return f"CREATE TABLE {self.name} ({', '.join(kinds)})"

    @property
    def rows(self) -> list[list[Any]]:
        """Its rows."""
        return [list(row) for row in zip(*self.cells.values(), strict=True)]


def _draw(draw: Draw, difficulty: float) -> Made:
    if difficulty >= 0.7 and draw.chance(0.5):
        return _joined(draw)
    table = Table(draw, draw.pick(TABLES), 1 + (difficulty >= 0.3), 1 + (difficulty >= 0.5))
    asked = [_filtered, _counted]
    asked += [_compared, _extreme] * (difficulty >= 0.25) + [_ordered, _grouped, _both] * (difficulty >= 0.5)
    question, query = draw.pick(asked)(draw, table)
    return _made([table], question, query)


def _made(tables: list[Table], question: str, query: str) -> Made:
    shown = f"{' '.join(table.shown for table in tables)} {question}"
    facts = {
        "schema": [table.created for table in tables],
        "rows": {table.name: table.rows for table in tables},
        "query": query,
        "ordered": "ORDER BY" in query and "LIMIT" not in query,
    }
    return Made(f"{shown} SQL:", query, shown, facts)


def _filtered(draw: Draw, table: Table) -> tuple[str, str]:
    column, value, wanted = *_word(draw, table), draw.pick(("name", *table.numbers))
    return f"{wanted} where {column} is {value}?", f"SELECT {wanted} FROM {table.name} WHERE {column} = '{value}'"


def _counted(draw: Draw, table: Table) -> tuple[str, str]:
    column, value = _word(draw, table)
    return f"How many have {column} {value}?", f"SELECT COUNT(*) FROM {table.name} WHERE {column} = '{value}'"


def _compared(draw: Draw, table: Table) -> tuple[str, str]:
    column, more = draw.pick(table.numbers), draw.chance(0.5)
    bound = sorted(table.cells[column])[draw.between(2, ROWS - 3)]
    said, sign = ("more", ">") if more else ("less", "<")
    wanted = draw.pick(("name", *table.words))
    return f"{wanted} where {column} is {said} than {bound}?", (
        f"SELECT {wanted} FROM {table.name} WHERE {column} {sign} {bound}"
    )


def _extreme(draw: Draw, table: Table) -> tuple[str, str]:
    said, function = draw.pick((("Highest", "MAX"), ("Lowest", "MIN"), ("Mean", "AVG"), ("Total", "SUM")))
    column = draw.pick(table.numbers)
    if draw.chance(0.5):
        return f"{said} {column}?", f"SELECT {function}({column}) FROM {table.name}"
    key, value = _word(draw, table)
    return f"{said} {column} where {key} is {value}?", (
        f"SELECT {function}({column}) FROM {table.name} WHERE {key} = '{value}'"
    )


def _ordered(draw: Draw, table: Table) -> tuple[str, str]:
    column, down = draw.pick(table.numbers), draw.chance(0.5)
    said, order = ("highest", " DESC") if down else ("lowest", "")
    if draw.chance(0.5):
        count = draw.between(1, 4)
        return f"name of the {count} with the {said} {column}?", (
            f"SELECT name FROM {table.name} ORDER BY {column}{order} LIMIT {count}"
        )
    return f"All names by {column}, {said} first?", f"SELECT name FROM {table.name} ORDER BY {column}{order}"


def _grouped(draw: Draw, table: Table) -> tuple[str, str]:
    key, column = draw.pick(table.words), draw.pick(table.numbers)
    said, function = draw.pick((("How many", "COUNT(*)"), ("Highest", f"MAX({column})"), ("Total", f"SUM({column})")))
    what = "" if said == "How many" else f" {column}"
    return f"{said}{what} of each {key}?", f"SELECT {key}, {function} FROM {table.name} GROUP BY {key}"


def _both(draw: Draw, table: Table) -> tuple[str, str]:
    """Two conditions that both exclude a row of some that the other one keeps, as far as the rows allow."""
    row = draw.below(ROWS)
    key, number = draw.pick(table.words), draw.pick(table.numbers)
    value, bound = table.cells[key][row], max(1, table.cells[number][row] - draw.between(1, 20))
    return f"name where {key} is {value} and {number} is more than {bound}?", (
        f"SELECT name FROM {table.name} WHERE {key} = '{value}' AND {number} > {bound}"
    )


def _joined(draw: Draw) -> Made:
    """Two tables: who owns what."""
    owners, goods = (Table(draw, name, 1, 1) for name in draw.sample(TABLES, 2))
    owners.cells = {"id": list(range(1, ROWS + 1)), **owners.cells}
    goods.cells["owner"] = [draw.between(1, ROWS) for _ in range(ROWS)]
    row = draw.below(ROWS)
    key = owners.words[0]
    value = owners.cells[key][goods.cells["owner"][row] - 1]
    wanted = draw.pick(("name", *goods.numbers))
    question = f"{wanted} of {goods.name} whose owner in {owners.name} has {key} {value}?"
    query = (
        f"SELECT {goods.name}.{wanted} FROM {goods.name} JOIN {owners.name} ON {goods.name}.owner = {owners.name}.id "
        f"WHERE {owners.name}.{key} = '{value}'"
    )
    return _made([owners, goods], question, query)


def _word(draw: Draw, table: Table) -> tuple[str, str]:
    """A column of words and a value that some of its rows have."""
    column = draw.pick(table.words)
    return column, draw.pick(table.cells[column])


def results(example: Example, answer: str) -> tuple[Result, Result]:
    """What the query of an answer gives, and what it should."""
    facts = example.facts
    mine = run_sql(facts["schema"], facts["rows"], query_in(answer))
    return mine, run_sql(facts["schema"], facts["rows"], facts["query"])


def _judged(example: Example, answer: str) -> tuple[bool, str]:
    """Whether the query of an answer runs, and what is wrong with it; "" if nothing.

    Its result is compared on the item's own rows and on others that are drawn around the constants of the right query:
    on one database alone a half of all queries with a bound that is off by one give the same, and so does a guess.
    """
    facts = example.facts
    mine, wanted = results(example, answer)
    if not mine.ok:
        return False, f"the query does not run: {mine.reason}"
    if not same_rows(mine, wanted, ordered=facts["ordered"]):
        return True, "the query gives another result"
    if not judged({**facts, "tables": _columns(facts["schema"])}, answer).correct:
        return True, "the query gives the same on these rows and something else on others"
    return True, ""


def _columns(schema: Sequence[str]) -> dict[str, list[list[Any]]]:
    """Columns of every table as :func:`~llm_experts.families.published.made_rows.judged` needs them."""
    tables: dict[str, list[list[Any]]] = {}
    for table, columns in (CREATED.fullmatch(text).groups() for text in schema):  # type: ignore[union-attr]
        kinds = [column.split() for column in columns.split(", ")]
        tables[table] = [
            [name, "number" if kind == "INTEGER" else "text", "id" if name in KEYS else "", name in ("id", "name")]
            for name, kind in kinds
        ]
    return tables


def _check(example: Example, answer: str) -> Verdict:
    _, reason = _judged(example, answer)
    return Verdict(not reason, reason)


def _reward(example: Example, answer: str) -> float:
    runs, reason = _judged(example, answer)
    if not runs:
        return 0.0
    return RUNS if reason else 1.0


FAMILY = Family(
    name="sql",
    label="Text to SQL",
    about="Write the query that answers a question about one or two small tables.",
    scores=("correct", "sql_equal"),
    longest_answer=64,
    make=generated("sql", _draw),
    check=_check,
    reward=_reward,
)
