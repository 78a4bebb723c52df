"""Queries of others: what they give, and that they do nothing else and end."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_experts.families.sqlite import Result, run_sql, same_rows

SCHEMA = "CREATE TABLE pets (name TEXT, age INTEGER)"
ROWS = {"pets": [["Rex", 3], ["Tom", 5], ["Kit", 5]]}


def test_a_query_gives_its_rows() -> None:
    assert run_sql(SCHEMA, ROWS, "SELECT name FROM pets WHERE age = 5 ORDER BY name").rows == (("Kit",), ("Tom",))
    assert run_sql([SCHEMA], ROWS, "WITH a AS (SELECT AVG(age) x FROM pets) SELECT x * 3 FROM a").rows == ((13.0,),)
    assert run_sql(SCHEMA, {}, "SELECT COUNT(*) FROM pets").rows == ((0,),)


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM pets", "INSERT INTO pets VALUES ('A', 1)", "DROP TABLE pets", "CREATE TABLE x (y)",
        "PRAGMA table_info(pets)", "ATTACH 'x.db' AS other", "VACUUM INTO 'x.db'", "SELECT load_extension('x')",
        "SELECT 1; SELECT 2", "", "-- nothing", "SELECT", "SELECT nothing FROM pets", "SELECT zeroblob(99999999)",
        "SELECT abs(random()) % 5", "SELECT name FROM pets ORDER BY RANDOM()", "SELECT hex(randomblob(4))",
        "SELECT CURRENT_TIMESTAMP", "SELECT hex(zeroblob(9000))", "SELECT * FROM pragma_database_list",
        "SELECT fts3_tokenizer('simple')", "BEGIN", "\x00", "\ud800", "SELECT readfile('/etc/passwd')",
    ],
)  # fmt: skip
def test_what_is_no_reading_query_has_a_reason(query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_sql(SCHEMA, ROWS, query)
    assert not result.ok and result.rows == ()
    assert not list(tmp_path.iterdir())


def test_an_endless_query_is_stopped() -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT COUNT(*) FROM n"
    assert run_sql(SCHEMA, ROWS, endless, steps=100_000).reason == "it takes too long"
    many = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 20000) SELECT x FROM n"
    assert run_sql(SCHEMA, ROWS, many).reason == "more than 10000 rows"


def test_a_result_takes_little_memory() -> None:
    """Known before: 10,000 rows of a megabyte each were kept, all of them."""
    numbers = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 9000)"
    assert run_sql(SCHEMA, ROWS, f"{numbers} SELECT zeroblob(9000) FROM n").reason == "more than 8 MiB"
    wide = ", ".join(["zeroblob(9000)"] * 1000)
    assert run_sql(SCHEMA, ROWS, f"{numbers} SELECT {wide} FROM n").reason == "more than 8 MiB"


def test_results_are_multisets_unless_order_was_asked_for() -> None:
    first, second = Result(((1, "a"), (2, "b"), (2, "b"))), Result(((2, "b"), (1.0, "a"), (2, "b")))
    assert same_rows(first, second) and not same_rows(first, second, ordered=True)
    assert not same_rows(first, Result(((1, "a"), (2, "b"))))
    assert not same_rows(first, Result(((1, "a"), (1, "a"), (2, "b"))))
    assert not same_rows(Result(reason="no"), Result(reason="no"))
    assert same_rows(Result(((0.1 + 0.2, None),)), Result(((0.3, None),)))
    assert not same_rows(Result((("1",),)), Result(((1,),)))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_no_text_makes_it_raise(text: str) -> None:
    run_sql(SCHEMA, ROWS, text, steps=10_000)
    run_sql(SCHEMA, ROWS, f"SELECT {text} FROM pets", steps=10_000)
