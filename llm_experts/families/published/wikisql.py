"""WikiSQL: questions about one table of Wikipedia (Zhong, Xiong and Socher 2017), compared on made rows.

The published file (Finegan-Dollak et al. 2018) has questions and queries, no tables. A table's columns are those that
any question of the set asks of it; a table with one question shows that question's columns alone, so that choosing the
columns is easier than in the original. Scores are therefore not those of the leaderboard.
"""

from __future__ import annotations

import bz2
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from llm_experts.data.example import Example
from llm_experts.data.sources import RAW, Source, published_file
from llm_experts.families.family import Family, Part, Verdict
from llm_experts.families.published.made_rows import Column, facts_of, judged
from llm_experts.families.published.sets import drawn

SOURCE = Source(
    "wikisql",
    "WikiSQL, in the form of text2sql-data",
    "https://github.com/jkkummerfeld/text2sql-data",
    "BSD-3-Clause",
    "Zhong, Xiong, Socher. Seq2SQL. 2017; Finegan-Dollak et al. Improving Text-to-SQL Evaluation. ACL 2018.",
    (
        published_file(
            "wikisql", f"{RAW}/jkkummerfeld/text2sql-data/5050bad2309a93636ea4788d3660c9202bf11e0e/data",
            "wikisql.json.bz2", 3685841, "f63b68f12c3ffe810d986347e03f3858d00cf6672f82cc10c062cae3da326946",
        ),
    ),
    (
        "Tables are not published with it: columns are those that its questions name, rows are made.",
        "Texts are compared without case, as the original does.",
    ),
)  # fmt: skip
PARTS: dict[str, Part] = {"train": "train", "dev": "validation", "test": "test"}
QUERY = re.compile(r"SELECT (?:(MAX|MIN|COUNT|SUM|AVG) )?(\S+) FROM TABLE AS TABLEalias0(?: WHERE (.+))? ;")
CONDITION = re.compile(r"""(\S+) (=|<|>) ("[^"]*"|.+?)(?= AND \S+ (?:=|<|>) |$)(?: AND )?""")
NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
RESERVED = {
    "add", "all", "alter", "and", "as", "autoincrement", "between", "case", "cast", "check", "collate", "commit",
    "constraint", "create", "current_date", "current_time", "current_timestamp", "default", "deferrable", "delete",
    "distinct", "drop", "else", "escape", "except", "exists", "foreign", "from", "group", "having", "in", "index",
    "insert", "intersect", "into", "is", "isnull", "join", "limit", "not", "nothing", "notnull", "null", "on", "or",
    "order", "primary", "raise", "references", "returning", "select", "set", "t", "table", "then", "to",
    "transaction", "union", "unique", "update", "using", "values", "when", "where",
}  # fmt: skip
"""Words that SQLite does not take for a column unless they are quoted, and the name of the table."""


class Asked(NamedTuple):
    """One question as it is published, its variables filled in."""

    number: int
    question: str
    table: str
    function: str
    column: str
    conditions: tuple[tuple[str, str, str], ...]


class Published(NamedTuple):
    """Questions of every part, and the columns of every table: published name to (name, kind)."""

    parts: Mapping[Part, Sequence[Asked]]
    tables: Mapping[str, Mapping[str, tuple[str, str]]]


@cache
def _published() -> Published:
    (path,) = SOURCE.paths().values()
    with bz2.open(path, "rt", encoding="utf-8") as stream:
        groups = json.load(stream)
    parts: dict[Part, list[Asked]] = {"train": [], "validation": [], "test": []}
    uses: dict[str, dict[str, list[str]]] = {}
    for number, (part, asked) in enumerate(_questions(groups)):
        parts[part].append(asked._replace(number=number))
        own = uses.setdefault(asked.table, {})
        own.setdefault(asked.column, []).append(asked.function)
        for column, sign, value in asked.conditions:
            own.setdefault(column, []).append(f"{sign}{value}")
    return Published(parts, {table: _named(columns) for table, columns in uses.items()})


def _questions(groups: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Part, Asked]]:
    """Questions whose query is one that the set describes."""
    for group in groups:
        parsed = QUERY.fullmatch(group["sql"][0])
        if parsed is None:
            continue
        function, column, where = parsed.groups()
        conditions = tuple((_column(c), sign, v) for c, sign, v in CONDITION.findall(where or ""))
        examples = {variable["name"]: variable["example"] for variable in group["variables"]}
        for sentence in group["sentences"]:
            values = examples | sentence["variables"]
            filled = tuple((c, sign, _value(v, values)) for c, sign, v in conditions)
            question = " ".join(sentence["original"].split())
            asked = Asked(0, question, sentence["table-id"], function or "", _column(column), filled)
            yield PARTS[sentence["question-split"]], asked


def _column(text: str) -> str:
    return text.removeprefix("TABLEalias0.").removesuffix("_FIELD")


def _value(text: str, variables: Mapping[str, str]) -> str:
    name = text.strip('"')
    return " ".join(variables.get(name, name).split())


def _named(uses: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, str]]:
    """A name that needs no quotation marks and a kind for every column of a table."""
    found: dict[str, tuple[str, str]] = {}
    for column, used in sorted(uses.items()):
        name = re.sub(r"\W+", "_", column.lower()).strip("_") or "column"
        if name[0].isdigit() or name in RESERVED:
            name = f"c_{name}"
        taken = {own for own, _ in found.values()}
        while name in taken:
            name += "_2"
        found[column] = (name, _kind(used))
    return found


def _kind(used: Sequence[str]) -> str:
    """``number`` if all that a column is compared with is a number, or it is summed up and compared with nothing."""
    values = [entry[1:] for entry in used if entry[:1] in ("=", "<", ">")]
    numbers = all(NUMBER.fullmatch(value) for value in values)
    computed = any(entry in ("SUM", "AVG") for entry in used)
    return "number" if numbers and (values or computed) else "text"


def _parts() -> Mapping[Part, Sequence[Asked]]:
    return _published().parts


def _example(asked: Asked) -> Example:
    names = _published().tables[asked.table]
    columns = [Column(*entry) for entry in names.values()]
    query = query_of(asked, names)
    shown = f"t({', '.join(column.name for column in columns)})"
    facts = {"table": asked.table, **facts_of({"t": columns}, query, text="TEXT COLLATE NOCASE")}
    return Example(f"wikisql-{asked.number}", f"{shown}\nQuestion: {asked.question}\nSQL:", query, facts=facts)


def query_of(asked: Asked, names: Mapping[str, tuple[str, str]]) -> str:
    """The right query, with plain names and literals."""
    column = names[asked.column][0]
    query = f"SELECT {f'{asked.function}({column})' if asked.function else column} FROM t"
    conditions = [f"{names[own][0]} {sign} {_literal(value, names[own][1])}" for own, sign, value in asked.conditions]
    return f"{query} WHERE {' AND '.join(conditions)}" if conditions else query


def _literal(value: str, kind: str) -> str:
    return value if kind == "number" else "'" + value.replace("'", "''") + "'"


def _check(example: Example, answer: str) -> Verdict:
    return judged(example.facts, answer)


FAMILY = Family(
    name="wikisql",
    label="WikiSQL",
    about="Write the query that answers a question about one table; results on made rows are compared.",
    scores=("sql_equal",),
    longest_answer=96,
    make=drawn("wikisql", _parts, _example),
    check=_check,
    published=True,
)
