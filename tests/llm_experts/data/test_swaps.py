"""Group terms exchanged: whole words, in their case, answers and facts with the prompt."""

import pytest

from llm_experts.data.example import Example, Message
from llm_experts.data.swaps import DESCENT, NAMES, PEOPLE, swapped, swapped_text
from llm_experts.families.registry import family_named
from llm_experts.families.shared.words import NAMES as GENERATED


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("Ann has 3 books.", "Ben has 3 books."),
        ("sex = female; role = Husband", "sex = male; role = Wife"),
        ("SHE and Her mother", "HE and His father"),
        ("the human hero shed here", "the human hero shed here"),
        ("annual Annual bob bobs", "annual Annual bob bobs"),
        ("I saw her. She took her coat.", "I saw him. He took his coat."),
        ("He gave her his and himself", "She gave him hers and herself"),
        ("It is his; his own.", "It is hers; her own."),
        ("race = African-American", "race = Caucasian"),
        ("Mrs Ward's father-in-law", "Mr Ward's mother-in-law"),
        ("", ""),
    ],
)
def test_texts(text: str, other: str) -> None:
    assert swapped_text(text) == other


@pytest.mark.parametrize("pair", [*PEOPLE, *NAMES, *DESCENT])
def test_an_exchange_undoes_itself(pair: tuple[str, str]) -> None:
    left, right = pair
    assert swapped_text(f"{left}, {right}") == f"{right}, {left}"


def test_no_name_has_two_partners() -> None:
    names = [name for pair in NAMES for name in pair]
    assert len(set(names)) == len(names)


def test_names_of_generated_items_are_exchanged_for_such_names() -> None:
    for left, right in NAMES:
        assert (left in GENERATED) == (right in GENERATED)
    assert sum(swapped_text(name) != name for name in GENERATED) == 30


def test_answers_and_facts_go_with_the_prompt() -> None:
    facts = {"family": "lookup", "answer": "Owen", "among": ["Ann", "Ada"], "rows": {"clubs": [["Ben", 3, None]]}}
    example = Example("a", "name, score\nAnn, 1\nAda, 2\nWho has 2?", "Ada", "Ann", facts)
    other = swapped(example)
    assert other is not None
    assert other.prompt == "name, score\nBen, 1\nAbel, 2\nWho has 2?"
    assert (other.id, other.completion, other.rejected) == ("a~swapped", "Abel", "Ben")
    assert other.facts["among"] == ["Ben", "Abel"]
    assert other.facts["rows"] == {"clubs": [["Ann", 3, None]]}
    assert other.facts["family"] == "lookup"


def test_conversations() -> None:
    asked = (Message("system", "You are a nurse."), Message("user", "Is she late?"))
    other = swapped(Example("a", asked, "yes"))
    assert other is not None
    assert other.prompt == (Message("system", "You are a nurse."), Message("user", "Is he late?"))


def test_an_item_about_nobody_has_no_other() -> None:
    assert swapped(Example("a", "Reverse: a b c Answer:", "c b a")) is None


@pytest.mark.parametrize("name", ["arithmetic", "dates", "lookup", "classification", "json_task"])
def test_families_take_the_other_answer(name: str) -> None:
    family = family_named(name)
    others = [other for example in family.make("train", 60, 0, None) if (other := swapped(example)) is not None]
    assert len(others) > 10
    assert all(family.check(other, other.completion).correct for other in others)
