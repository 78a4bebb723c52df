"""Rows of a card as items: the task's own split, question and labels."""

import pytest

from llm_experts.data.error import DataError
from llm_experts.families.family import Part
from llm_experts.families.registry import FAMILIES, family_named, family_of
from llm_experts.families.rows import rows_of
from llm_experts.families.wrong import wrong_answer
from tasks.load import load_task

PARTS: tuple[Part, ...] = ("train", "validation", "test")


@pytest.mark.data
def test_rows_are_those_of_the_split_with_their_labels() -> None:
    task, family = load_task("german"), FAMILIES["rows"]
    for part in PARTS:
        items = family.make(part, 10_000, 0, None)
        ids = getattr(task.split, part)
        assert sorted(item.facts["row"] for item in items) == sorted(task.rows[ids].tolist())
        label_of = dict(zip(task.rows[ids].tolist(), task.labels[ids].tolist(), strict=True))
        words = (task.card.text.negative, task.card.text.positive)
        assert all(item.completion == words[label_of[item.facts["row"]]] for item in items)
        assert all(item.completion in item.facts["labels"] for item in items)


@pytest.mark.data
def test_a_seed_draws_rows_and_the_order_of_the_words() -> None:
    family = FAMILIES["rows"]
    one, two = family.make("train", 50, 1, None), family.make("train", 50, 2, None)
    assert one == family.make("train", 50, 1, None) and one != two
    ends = {str(item.prompt).rpartition("Options:")[2] for item in one}
    assert ends == {" yes or no. Answer:", " no or yes. Answer:"}
    assert "; " in str(one[0].prompt) and "Question: " in str(one[0].prompt)


@pytest.mark.data
def test_answers_are_judged_by_the_words_of_the_card() -> None:
    family = family_named("rows:compas:race")
    assert family.name == "rows:compas:race"
    for item in family.make("validation", 20, 0, None):
        assert family.check(item, f" {item.completion.upper()}, of course").correct
        wrong = wrong_answer(family, item)
        assert {wrong, item.completion} == {"yes", "no"} and not family.check(item, wrong).correct
        assert not family.check(item, "perhaps").correct
        found = family_of(item)
        assert found is not None and found.name == family.name


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(DataError, match="-1 items"):
        rows_of("scm").make("train", -1, 0, None)
    with pytest.raises(ValueError, match="nowhere"):
        rows_of("nowhere").make("train", 1, 0, None)
