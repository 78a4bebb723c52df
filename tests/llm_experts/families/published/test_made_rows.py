"""Queries compared on made rows: right ones in other words pass, wrong ones do not."""

import json

import pytest

from llm_experts.data.error import DataError
from llm_experts.families.published import spider, wikisql
from llm_experts.families.published.made_rows import (
    Column,
    constants_in,
    databases,
    facts_of,
    judged,
    made_rows,
    ordered,
)
from llm_experts.families.registry import FAMILIES

TABLES = {
    "singer": [Column("id", "number", "k", True), Column("name", "text"), Column("age", "number")],
    "song": [Column("singer", "number", "k"), Column("title", "text"), Column("sales", "number")],
}
PAIRS = [
    ("SELECT name FROM singer WHERE age > 30", "select name from singer where not age <= 30;", True),
    ("SELECT name FROM singer WHERE age > 30", "SELECT name FROM singer WHERE age >= 30", False),
    ("SELECT name FROM singer WHERE age > 30", "SELECT name FROM singer", False),
    ("SELECT name FROM singer WHERE age > 30", "SELECT age FROM singer WHERE age > 30", False),
    ("SELECT count(*) FROM singer", "```sql\nSELECT count(id) FROM singer\n```", True),
    ("SELECT count(*) FROM singer", "SELECT count(DISTINCT name) FROM singer", False),
    ("SELECT avg(age) FROM singer", "SELECT sum(age) FROM singer", False),
    ("SELECT max(age) FROM singer", "SELECT age FROM singer ORDER BY age DESC LIMIT 1", True),
    ("SELECT name FROM singer ORDER BY age", "SELECT name FROM singer ORDER BY age DESC", False),
    ("SELECT name FROM singer WHERE name LIKE '%Bob%'", "SELECT name FROM singer WHERE name = 'Bob'", False),
    (
        "SELECT T1.name FROM singer AS T1 JOIN song AS T2 ON T1.id = T2.singer WHERE T2.title = 'Love'",
        "SELECT name FROM singer, song WHERE singer.id = song.singer AND title = 'Love'",
        True,
    ),
    (
        "SELECT T1.name FROM singer AS T1 JOIN song AS T2 ON T1.id = T2.singer WHERE T2.title = 'Love'",
        "SELECT DISTINCT name FROM singer JOIN song ON id = singer WHERE title = 'Love'",
        False,
    ),
    (
        "SELECT name FROM singer WHERE id NOT IN (SELECT singer FROM song)",
        "SELECT name FROM singer LEFT JOIN song ON id = singer WHERE singer IS NULL",
        True,
    ),
    (
        "SELECT title FROM song WHERE sales > 5 AND title = 'Love'",
        "SELECT title FROM song WHERE sales > 5 OR title = 'Love'",
        False,
    ),
]


@pytest.mark.parametrize(("query", "answer", "same"), PAIRS)
def test_queries_are_told_apart(query: str, answer: str, same: bool) -> None:
    assert judged(facts_of(TABLES, query), query).correct
    assert judged(facts_of(TABLES, query), answer).correct == same


def test_what_does_not_run_is_told() -> None:
    facts = facts_of(TABLES, "SELECT name FROM singer")
    assert judged(facts, "SELECT nom FROM singer").reason == "the query does not run: no such column: nom"
    assert judged(facts, "DROP TABLE singer").reason.startswith("the query does not run")
    assert judged(facts, "SELECT age FROM singer").reason == "the query gives another result"


def test_keys_fit_and_constants_occur() -> None:
    query = "SELECT name FROM singer WHERE age = 47 AND name LIKE '%Bob%'"
    ages, names, ids, owners = set(), set(), [], set()
    for number in range(8):
        rows = made_rows(TABLES, query, number)
        own = [row[0] for row in rows["singer"]]
        assert len(set(own)) == len(own)
        ids += own
        owners |= {row[0] for row in rows["song"]}
        ages |= {row[2] for row in rows["singer"]}
        names |= {row[1] for row in rows["singer"]}
    assert {46, 47, 48} <= ages
    assert "Bob" in names
    assert any(str(name).startswith("Bob") and name != "Bob" for name in names)
    assert owners <= set(range(1, 26))
    assert owners & set(ids)
    assert made_rows(TABLES, query, 3) == made_rows(TABLES, query, 3) != made_rows(TABLES, query, 4)


def test_constants_by_the_column_that_they_are_compared_with() -> None:
    query = (
        "SELECT a FROM t WHERE T1.a >= 3 AND b LIKE '%x%' AND c BETWEEN 1 AND 2.5 AND d = \"it's\" GROUP BY a LIMIT 7"
    )
    assert constants_in(query) == {"a": [3], "b": ["x"], "c": [1, 2.5], "d": ["it's"], "": [7]}


def test_a_tie_that_a_limit_cuts_decides_nothing() -> None:
    """On every database that is kept the right query's result is the same whatever the order of rows."""
    facts = facts_of(TABLES, "SELECT title FROM song GROUP BY title ORDER BY count(*) DESC LIMIT 1")
    kept = databases(json.dumps({key: facts[key] for key in ("schema", "tables", "query", "ordered")}))
    assert kept
    same = (
        "SELECT title FROM (SELECT title, count(*) AS n FROM song GROUP BY title) ORDER BY n DESC, title DESC LIMIT 1"
    )
    assert judged(facts, same).correct


def test_an_order_counts_where_all_of_the_result_is_ordered() -> None:
    assert ordered("SELECT a FROM t ORDER BY a")
    assert not ordered("SELECT a FROM t WHERE a IN (SELECT b FROM u ORDER BY count(b) LIMIT 1)")
    assert not ordered("SELECT orderby FROM t")


def test_a_right_query_that_does_not_run_is_named() -> None:
    with pytest.raises(DataError, match=r"The right query 'SELECT x FROM t' does not run on its own tables"):
        judged(facts_of({"t": [Column("a", "text")]}, "SELECT x FROM t"), "SELECT 1")


SCHEMA = {
    "table_names_original": ["a", "sqlite_sequence", "b"],
    "column_names_original": [[-1, "*"], [0, "id"], [0, "x"], [1, "seq"], [2, "a_id"], [2, "b_id"]],
    "column_types": ["text", "number", "others", "text", "text", "number"],
    "primary_keys": [1, 4],
    "foreign_keys": [[4, 1]],
}


def test_a_published_schema_as_tables() -> None:
    """SQLite's own table is left out, both ends of a key are of one kind, and a key of several columns may repeat."""
    assert spider.tables_of(SCHEMA) == {
        "a": [Column("id", "number", "1", True), Column("x", "text")],
        "b": [Column("a_id", "number", "1", False), Column("b_id", "number")],
    }


GROUP = {
    "sql": [
        "SELECT COUNT TABLEalias0.NO._FIELD FROM TABLE AS TABLEalias0 "
        'WHERE TABLEalias0.TO_FIELD = "var0" AND GOALS_FIELD > var1 ;'
    ],
    "variables": [{"name": "var0", "example": "x"}, {"name": "var1", "example": "8"}],
    "sentences": [
        {
            "original": "How many  went to O'Hara?",
            "question-split": "dev",
            "table-id": "1-2",
            "variables": {"var0": "O'Hara"},
        }
    ],
}


def test_a_published_question_as_a_query() -> None:
    ((part, asked),) = wikisql._questions([GROUP, {**GROUP, "sql": ["SELECT ???"]}])
    assert part == "validation"
    assert asked == (0, "How many went to O'Hara?", "1-2", "COUNT", "NO.", (("TO", "=", "O'Hara"), ("GOALS", ">", "8")))
    names = wikisql._named({"NO.": ["COUNT"], "TO": ["=O'Hara"], "GOALS": [">8"], "2001": ["SUM"], "no": [""]})
    assert names == {
        "2001": ("c_2001", "number"),
        "GOALS": ("goals", "number"),
        "NO.": ("no", "text"),
        "TO": ("c_to", "text"),
        "no": ("no_2", "text"),
    }
    assert wikisql.query_of(asked, names) == "SELECT COUNT(no) FROM t WHERE c_to = 'O''Hara' AND goals > 8"


@pytest.mark.data
@pytest.mark.slow
def test_wikisql_is_read_and_its_queries_are_right() -> None:
    family = FAMILIES["wikisql"]
    assert {part: len(own) for part, own in wikisql._parts().items()} == {
        "train": 56191,
        "validation": 8399,
        "test": 15824,
    }
    for example in family.make("test", 40, 0, None):
        assert family.check(example, example.completion).correct
        assert not family.check(example, "SELECT 'nothing'").correct
