"""Questions asked before: re-worded ones are found, different ones of the same template are not."""

from dataclasses import replace

import pytest

from llm_experts.data.example import Example
from llm_experts.data.repeats import Repeats
from llm_experts.families.registry import family_named

FAMILIES = ("arithmetic", "json_task", "sql", "strings", "dates", "lookup", "classification")


def _reworded(text: str) -> list[str]:
    """The same question in another case, with other spaces, other marks at its end, and its last words first."""
    words = text.split(" ")
    return [text.upper(), text.replace(" ", "  "), text.rstrip(":") + " :", " ".join([words[-1], *words[:-1]])]


@pytest.mark.parametrize("difficulty", [0.0, 1.0])
@pytest.mark.parametrize("name", FAMILIES)
def test_different_questions_of_a_family_pass_and_reworded_ones_do_not(name: str, difficulty: float) -> None:
    made = family_named(name).make("train", 150, 0, difficulty)
    seen, repeated = Repeats(), 0
    for example in made:
        repeated += bool(seen.same(example) or seen.nearly(example))
        seen.add(example)
    assert repeated <= 2  # the same keys or columns in another order, which is the same question
    for example in made[::15]:
        assert isinstance(example.prompt, str)
        for prompt in _reworded(example.prompt):
            again = replace(example, prompt=prompt)
            assert seen.same(again) or seen.nearly(again), prompt


@pytest.mark.parametrize(
    ("prompt", "answer", "repeats"),
    [
        ("Ann has 3 books and buys 2. How many now?", "5", True),
        ("How many now? Ann has 3 books and buys 2.", "5", True),
        ("Please: Ann has 3 books and buys 2. How many now?", "5", True),
        ("Ann has 2 books and buys 3. How many now?", "5", False),  # the numbers' order
        ("Ann has 3 books and buys 2. How many now?", "6", True),  # the same question, answered otherwise
        ("Amy has 3 books and buys 2. How many now?", "5", False),
        ("Ann has 3 books and never buys 2. How many now?", "5", False),
        ("Ann has 3 pens and buys 2. How many now?", "5", False),
        ("Ann has 3 books, and 1 more, and buys 2. How many now?", "5", False),
    ],
)
def test_what_makes_it_another_question(prompt: str, answer: str, repeats: bool) -> None:
    seen = Repeats([Example("first", "Ann has 3 books and buys 2. How many now?", "5")])
    other = Example("other", prompt, answer)
    assert bool(seen.same(other) or seen.nearly(other)) == repeats


def test_two_people_of_whom_the_same_is_known_are_two() -> None:
    one = Example("rows-1", "age = 30. Answer:", "yes", facts={"family": "rows", "row": 1})
    seen = Repeats([one])
    assert not seen.same(replace(one, id="rows-2", facts={"family": "rows", "row": 2}))
    assert seen.same(replace(one, prompt="age = 30, Answer:")) == "rows-1"
    assert not seen.same(replace(one, facts={"family": "rows:adult", "row": 1}))


def test_likeness_is_that_of_counted_words() -> None:
    one, other = Example("a", "a b b c"), Example("b", "b b c d")
    assert Repeats().likeness(one, other) == pytest.approx(3 / 5)
    assert Repeats().likeness(Example("a", "!"), Example("b", "?")) == 0


def test_an_item_without_words_is_near_none() -> None:
    assert Repeats([Example("a", "?!")]).nearly(Example("b", "!?")) == ""
