"""What an answer is read as; worked by hand."""

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_experts.families.shared.answers import (
    NOTHING,
    date_in,
    first_line,
    is_json,
    json_in,
    label_in,
    number_in,
    query_in,
    same_json,
    says,
    states,
)


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("17", 17), ("17 apples, not 12", 17), ("$1,200.50", Fraction("1200.5")), ("-3", -3), ("−3.", -3),
        ("13 + 4 = 17", 17), ("The answer is 17. Or 18?", 17), ("Answer: 17\nAnswer: 3", 17),
        ("13 apples and 4 make more.\n#### 17", 17), ("So \\boxed{17}", 17), ("She has 13 and then 17", 17),
        ("```\n17\n```", 17), ("**17**", 17), ("none", None), ("", None),
        ("Answer: 13 + 4 = 17", 17), ("The answer is 13 + 4 = 17.", 17), ("20 – 3 = 17", 17), ("17 (13 + 4 = 17)", 17),
        ("20 apples - 3 apples = 17 apples", 17), ("To answer this, add 13 and 4. The answer is 17.", 17),
        ("17, because 20 - 3 = 17", 17), ("17e3", None), ("17%", None), ("17 %", None), ("1.5e3", None),
        ("1.2.3", None),
        ("```17```", 17), ("Sure! Here is the answer:\n\n17", 17), ("x = 17", 17),
        ("x17", None), ("1,20", 1), ("3.5.", Fraction("3.5")),
    ],
)  # fmt: skip
def test_number(answer: str, number: object) -> None:
    assert number_in(answer) == number


def test_naming_every_number_states_one() -> None:
    assert number_in("1 2 3 4 5 6 7") == 1
    assert number_in("It is 1 2 3 4 5 6 7") == 7


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("valid", "valid"), ("Valid JSON.", "valid"), ("It is invalid", "invalid"), ("It is not valid", None),
        ("It isn't valid", None), ("valid or invalid", None), ("It is valid or invalid", None), ("validity", None),
        ("valid/invalid", None), ("invalid, valid?", None), ("Valid, no invalid part", "valid"),
        ("Sure! Here is my answer:\n\ninvalid", "invalid"), ("So the final answer is: **invalid**.", "invalid"),
        ("The answer is not valid", None), ("```valid```", "valid"), ("```text\nvalid\n```", "valid"),
        ("\n**Invalid**\nvalid", "invalid"), ("Answer: valid", "valid"), ("", None),
    ],
)  # fmt: skip
def test_label(answer: str, label: str | None) -> None:
    assert label_in(answer, ("valid", "invalid")) == label


def test_of_two_labels_that_an_answer_begins_with_the_longer_one_counts() -> None:
    for labels in (("not", "not guilty"), ("not guilty", "not")):
        assert label_in("Not  guilty, I think", labels) == "not guilty" and label_in("not", labels) == "not"
    assert label_in("low risk.", ("low", "low risk")) == label_in("Low risk", ("low risk", "low")) == "low risk"
    assert label_in("low", ("low", "low risk")) == "low"


def test_states_a_word_in_a_sentence_and_none_of_the_others() -> None:
    assert states("The city is Rome.", "Rome", ["Oslo"]) and not states("It is not Rome", "Rome", ["Oslo"])
    assert not states("Rome or Oslo", "Rome", ["Oslo"]) and not states("From Oslo to Rome", "Rome", ["Oslo"])
    assert not states("It is Rome", "Rome", []), "there is nothing that it could be told from"


QUERY = "SELECT a FROM t WHERE b = 'x'"


@pytest.mark.parametrize(
    "answer",
    [
        QUERY, f"{QUERY};", f"{QUERY}.", f"`{QUERY}`", f"**{QUERY}**", f'"{QUERY}"', f"```{QUERY}```",
        f"```sql\n{QUERY};\n```\nIt selects a.", f"```sql {QUERY}```", f"The query with a filter is {QUERY};",
        f"You can select the rows with this query:\n\n{QUERY};", f"Answer: {QUERY}\nIt shows a.",
        f"Use `{QUERY}` with care.",
    ],
)  # fmt: skip
def test_query(answer: str) -> None:
    assert query_in(answer) == QUERY


def test_a_query_may_begin_with_a_table_of_its_own_and_keeps_its_marks() -> None:
    assert query_in("With x AS (SELECT 1 a) SELECT a FROM x") == "With x AS (SELECT 1 a) SELECT a FROM x"
    assert query_in("SELECT a FROM t ORDER BY `b`") == "SELECT a FROM t ORDER BY `b`"
    assert query_in("nothing") == "nothing" and query_in("") == ""


def test_says_needs_the_whole_word() -> None:
    assert says("Rome, of course", "Rome") and says("'rome'", "Rome") and says("Rome.\nOslo", "Rome")
    assert not says("Romes", "Rome") and not says("It is Rome", "Rome") and not says("", "Rome")
    assert not says("3.5", "3")


@pytest.mark.parametrize(
    "answer",
    [
        "2024-03-01",
        "1 March 2024",
        "It is March 1st, 2024.",
        "1st Mar 2024",
        "29 days from 2024-02-01 it is 2024-03-01.",
        "2024-03-01, 29 days from 2024-02-01",
        "The answer is 2024-3-1, not 2.",
        "2024-3-1 or 2024-03-02",
    ],
)
def test_date(answer: str) -> None:
    assert date_in(answer) == date(2024, 3, 1)


@pytest.mark.parametrize("answer", ["2024-02-30", "32 March 2024", "1 Foo 2024", "12024-03-01", "", "0000-01-01"])
def test_no_date(answer: str) -> None:
    assert date_in(answer) is None


def test_json_value() -> None:
    assert json_in('```json\n{"b": 1, "a": [true, null]}\n``` so') == {"a": [True, None], "b": 1}
    assert json_in('It is {"a": 1}. Or {"a": 2}?') == {"a": 1}
    assert json_in("**true**") is True and json_in("`3`") == 3 and json_in("3. It is so") == 3
    assert all(json_in(text) is NOTHING for text in ("3%", "3,000", "3/4", "3 %"))
    assert json_in("Answer: 3") == 3 and json_in("null") is None
    for none in ('{"a": 1', '{"a": 1, "a": 1}', "NaN", "falsefalse", "", "nothing", "[" * 100_000):
        assert json_in(none) is NOTHING, none[:20]


def test_json_equality_keeps_kinds_apart() -> None:
    assert same_json({"a": 1, "b": [1.0]}, {"b": [1], "a": 1.0})
    assert not same_json([1], [True]) and not same_json([1, 2], [2, 1]) and not same_json({"a": 1}, {"a": 1, "b": 1})
    assert not same_json(0, False) and not same_json("1", 1) and same_json(None, None) and not same_json(None, 0)


def test_is_json() -> None:
    assert is_json(' {"a": 1} ') and is_json("null")
    assert not is_json("{'a': 1}") and not is_json('{"a": 1} x') and not is_json("9" * 5000)
    assert not is_json("[" * 100_000)


@given(st.text())
def test_no_text_makes_reading_fail(text: str) -> None:
    first_line(text), number_in(text), date_in(text), json_in(text), label_in(text, ("a", "b")), says(text, "a")
    is_json(text), states(text, "a", ["b"]), query_in(text)
