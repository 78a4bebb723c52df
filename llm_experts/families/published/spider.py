"""Spider: questions about databases of several tables (Yu et al. 2018), compared on made rows.

The mirror has the development questions and the schemas, no rows and no training questions: parts are made of the
twenty development databases, so that an examination asks of databases that were never learnt. Scores are therefore not
those of the leaderboard.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from llm_experts.data.example import Example
from llm_experts.data.sources import RAW, Source, published_file
from llm_experts.families.family import Family, Part, Verdict
from llm_experts.families.published.made_rows import Column, facts_of, judged
from llm_experts.families.published.sets import as_it_is, drawn

URL = f"{RAW}/taoyds/spider/b7b5b8c890cd30e35427348bb9eb8c6d1350ca7c/evaluation_examples/examples"
SOURCE = Source(
    "spider",
    "Spider: complex and cross-domain text to SQL, development set",
    "https://github.com/taoyds/spider",
    "CC BY-SA 4.0",
    "Yu et al. Spider. EMNLP 2018.",
    (
        published_file(
            "spider", URL, "dev.json", 3629512,
            "30d64a3fccde493226df79687aed9e4a1c0129525baf44f29c0573d914d758a4", packed=True,
        ),
        published_file(
            "spider", URL, "tables.json", 810971,
            "61bb20aa401f03164e2d7f3b16509b7b5f79cc9c943ca7bd159046df1159e2ed", packed=True,
        ),
    ),
    (
        "Only the 1,034 development questions are there; the parts are made of their 20 databases.",
        "Queries are compared on made rows, not on the published databases.",
    ),
)  # fmt: skip
VALIDATION = ("battle_death", "course_teach", "museum_visit", "poker_player", "singer")
TEST = (
    "car_1", "concert_singer", "employee_hire_evaluation", "network_1", "orchestra", "pets_1", "tvshow", "voter_1",
)  # fmt: skip
"""Databases of the parts; the other seven are learnt."""


@cache
def _parts() -> Mapping[Part, Sequence[Example]]:
    paths = SOURCE.paths()
    schemas = {entry["db_id"]: entry for entry in json.loads(paths["tables.json"].read_text(encoding="utf-8"))}
    parts: dict[Part, list[Example]] = {"train": [], "validation": [], "test": []}
    for number, record in enumerate(json.loads(paths["dev.json"].read_text(encoding="utf-8"))):
        example = _example(f"spider-{number}", record, schemas[record["db_id"]])
        parts[_part_of(record["db_id"])].append(example)
    return parts


def _part_of(database: str) -> Part:
    if database in TEST:
        return "test"
    return "validation" if database in VALIDATION else "train"


def _example(name: str, record: Mapping[str, Any], schema: Mapping[str, Any]) -> Example:
    tables = tables_of(schema)
    lines = [f"{table}({', '.join(column.name for column in columns)})" for table, columns in tables.items()]
    lines += [f"{child} = {parent}" for child, parent in _links(schema)]
    query = " ".join(record["query"].split()).rstrip("; ")
    facts = {"database": record["db_id"], **facts_of(tables, query)}
    return Example(name, "\n".join([*lines, f"Question: {record['question'].strip()}", "SQL:"]), query, facts=facts)


def tables_of(schema: Mapping[str, Any]) -> dict[str, list[Column]]:
    """Tables of a published schema, SQLite's own left out; columns that a foreign key joins share their values."""
    joined = _joined(schema["foreign_keys"])
    children = {child for child, _ in schema["foreign_keys"]}  # of a key of several columns one is published
    keys = set(schema["primary_keys"])
    tables: dict[str, list[Column]] = {name: [] for name in schema["table_names_original"]}
    names = schema["table_names_original"]
    for index, (table, column) in enumerate(schema["column_names_original"]):
        if table < 0:
            continue
        kind = "number" if schema["column_types"][index] == "number" else "text"
        pool = str(joined[index]) if index in joined else ""
        if pool:  # both ends of a key are of one kind
            kind = "number" if schema["column_types"][joined[index]] == "number" else "text"
        tables[names[table]].append(Column(column, kind, pool, index in keys - children))
    return {name: columns for name, columns in tables.items() if not name.startswith("sqlite_")}


def _joined(keys: Sequence[Sequence[int]]) -> dict[int, int]:
    """The first of all columns that are joined with one another, by column."""
    first: dict[int, int] = {}
    for child, parent in keys:
        one, other = first.setdefault(child, child), first.setdefault(parent, parent)
        for column, own in first.items():
            if own in (one, other):
                first[column] = min(one, other)
    return first


def _links(schema: Mapping[str, Any]) -> list[tuple[str, str]]:
    names, columns = schema["table_names_original"], schema["column_names_original"]
    said = [f"{names[table]}.{column}" if table >= 0 else "" for table, column in columns]
    return [(said[child], said[parent]) for child, parent in schema["foreign_keys"]]


def _check(example: Example, answer: str) -> Verdict:
    return judged(example.facts, answer)


FAMILY = Family(
    name="spider",
    label="Spider",
    about="Write the query that answers a question about several tables; results on made rows are compared.",
    scores=("sql_equal",),
    longest_answer=160,
    make=drawn("spider", _parts, as_it_is),
    check=_check,
    published=True,
)
