"""Published sets as families: their parts, their right answers, and what is told of the wrong ones."""

from collections.abc import Sequence

import pytest

from llm_experts.data.example import Example
from llm_experts.families.family import Family, Part
from llm_experts.families.published import gsm8k, humaneval, mbpp
from llm_experts.families.published.free_text import plain
from llm_experts.families.published.gsm8k import final_number
from llm_experts.families.published.sets import as_it_is, carved, drawn
from llm_experts.families.registry import FAMILIES
from llm_experts.families.sandbox import missing

contained = pytest.mark.skipif(bool(missing()), reason=f"nothing contains a program here: {missing()}")
PARTS: tuple[Part, ...] = ("train", "validation", "test")
SIZES = {
    "gsm8k": (6726, 747, 1319),
    "mbpp": (374, 90, 500),
    "humaneval": (0, 0, 164),
    "self_instruct": (157, 18, 252),
    "alpaca_demo": (700, 148, 151),
    "spider": (510, 134, 390),
}
ODD = ["", " ", "\0", "\ud800", "9" * 5000, "[" * 5000, "```", "####", "####,", "$", "SELECT", "def f(:", ";", "￥٣"]


def all_of(family: Family, part: Part) -> Sequence[Example]:
    return family.make(part, 10**6, 0, None)


@pytest.mark.data
@pytest.mark.parametrize("name", SIZES)
def test_parts_have_their_sizes_and_share_no_prompt(name: str) -> None:
    family = FAMILIES[name]
    assert family.published
    prompts: set[str] = set()
    for part, size in zip(PARTS, SIZES[name], strict=True):
        if not size:
            with pytest.raises(ValueError, match=f"The set {name} has no items of the part {part}"):
                all_of(family, part)
            continue
        examples = all_of(family, part)
        own = {str(example.prompt) for example in examples}
        assert len({example.id for example in examples}) == len(examples) == size
        assert not own & prompts
        prompts |= own
        assert all(example.completion.strip() and example.facts["family"] == name for example in examples)


@pytest.mark.data
@pytest.mark.parametrize("name", SIZES)
def test_the_seed_chooses_which_items_come_first(name: str) -> None:
    family = FAMILIES[name]
    few, more = family.make("test", 5, 1, None), family.make("test", 9, 1, None)
    assert few == more[:5] == family.make("test", 5, 1, None)
    assert few != family.make("test", 5, 2, None)


@pytest.mark.data
@pytest.mark.parametrize("name", ["gsm8k", "self_instruct", "alpaca_demo"])
def test_every_reference_is_right(name: str) -> None:
    family = FAMILIES[name]
    for example in all_of(family, "test"):
        assert family.check(example, example.completion).correct


@pytest.mark.data
@contained
@pytest.mark.parametrize("name", ["mbpp", "humaneval", "spider"])
def test_some_references_are_right(name: str) -> None:
    family = FAMILIES[name]
    for example in family.make("test", 6, 0, None):
        assert family.check(example, example.completion).correct, example.id
        assert not family.check(example, "SELECT 1" if name == "spider" else "pass").correct


@pytest.mark.data
@pytest.mark.slow
@contained
@pytest.mark.parametrize("name", ["humaneval"])
def test_every_reference_passes_its_tests(name: str) -> None:
    family = FAMILIES[name]
    assert [e.id for e in all_of(family, "test") if not family.check(e, e.completion).correct] == []


@pytest.mark.data
@pytest.mark.parametrize("name", ["gsm8k", "self_instruct", "alpaca_demo", "spider"])
def test_no_answer_makes_a_checker_fail(name: str) -> None:
    family = FAMILIES[name]
    (example,) = family.make("test", 1, 0, None)
    for odd in ODD:
        assert not family.check(example, odd).correct
        assert 0 <= family.reward_of(example, odd) < 1


@contained
@pytest.mark.parametrize("odd", ["\0", "\ud800", "```", "def f(:"])
def test_no_answer_makes_a_program_checker_fail(odd: str) -> None:
    example = Example("a", "def f(x):\n", facts={"tests": "def check(f): assert f(1) == 2", "entry": "f"})
    assert not humaneval.FAMILY.check(example, odd).correct
    example = Example("a", "p", facts={"tests": ["assert f(1) == 2"], "setup": ""})
    assert not mbpp.FAMILY.check(example, odd).correct


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("2 + 3 = 5\n#### 5", 5),
        ("#### $1,250.00", 1250),
        ("#### -3 dollars", -3),
        ("#### 3\n#### 4", 4),
        ("First 3, then the answer is 7.", 7),
        ("He has 3, she has 12 apples.", 12),
        ("7\n\nQuestion: what is 9?\nAnswer: 9", 7),
        ("half of it, .5", 0.5),
        ("no idea", None),
        ("####", None),
        ("1,23 and 4,567", 4567),
    ],
)
def test_the_last_number_is_the_answer(answer: str, number: float | None) -> None:
    assert final_number(answer) == number


def test_a_worked_answer_loses_its_calculator_marks() -> None:
    record = {"question": " How many? ", "answer": "48/2 = <<48/2=24>>24 clips\n#### 1,024"}
    example = gsm8k._example("a", record)
    assert example.prompt == "Question: How many?\nAnswer:"
    assert example.completion == "48/2 = 24 clips\n#### 1,024"
    assert example.facts == {"number": "1024"}


HEADER = "import math\n\ndef half(x):\n    return x / 2\n\n"
PROMPT = HEADER + 'def f(x):\n    """Twice x."""\n'
ASKED = Example("a", PROMPT, facts={"tests": "def check(f): assert f(2) == 4 * half(2)", "entry": "f"})


@contained
@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("    return 2 * x\n", True),
        ("return 2 * x", True),  # the blanks before it were stripped
        ("    y = x\n    return 2 * y\n\ndef g():\n    return (\n", True),  # what follows is not run
        ("    return 2 * x\nprint(f(1)\n", True),
        ("Here it is:\n```python\ndef f(x):\n    return 4 * half(x)\n```\nDone.", True),
        ("```python\n    return 2 * x\n```", True),
        ("    return 3 * x\n", False),
        ("    import sys\n    sys.exit(0)\n", False),
        ("    import os\n    os._exit(0)\n", False),
    ],
)
def test_a_function_goes_on_from_its_prompt_or_is_written_anew(answer: str, right: bool) -> None:
    assert humaneval.FAMILY.check(ASKED, answer).correct == right


@contained
@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("def f(x):\n    return x + 1", True),
        ("```python\ndef f(x): return x + 1\n```", True),
        ("def f(x):\n    return x + 1\n[DONE]\nand so on", True),
        ("def f(x): return x", False),
        ("f = lambda x: x + 1; raise SystemExit", False),
    ],
)
def test_code_has_to_pass_its_tests(answer: str, right: bool) -> None:
    facts = {"tests": ["assert f(1) == 2", "assert f(2) == 3"], "setup": ""}
    assert mbpp.FAMILY.check(Example("a", "p", facts=facts), answer).correct == right


@contained
def test_tests_are_set_up_after_the_code() -> None:
    """Some problems set up their tests with classes that the answer defines."""
    facts = {"tests": ["assert f(root) == 2"], "setup": "root = Node(2)"}
    code = "class Node:\n    def __init__(self, x): self.x = x\ndef f(node): return node.x"
    assert mbpp.FAMILY.check(Example("a", "p", facts=facts), code).correct


def test_what_fails_is_told() -> None:
    if missing():
        pytest.skip(missing())
    facts = {"tests": ["assert f(1) == 2, 'not two'"], "setup": ""}
    verdict = mbpp.FAMILY.check(Example("a", "p", facts=facts), "def f(x): return x")
    assert verdict.reason == "AssertionError: not two"


def test_free_texts_are_equal_but_for_case_blanks_and_a_full_stop() -> None:
    family = FAMILIES["alpaca_demo"]
    example = Example("a", "p", "The car went fast.")
    assert family.check(example, " the  CAR went fast").correct
    assert not family.check(example, "the car went slowly").correct
    assert family.reward_of(example, "The car went fast.") == 1
    assert 0 < family.reward_of(example, "the car went slowly") < 1
    assert family.reward_of(example, " ") == 0
    assert plain("Ａ b.") == "a b"


def made(count: int) -> dict[Part, Sequence[Example]]:
    return {"test": [Example(str(n), f"prompt {n}") for n in range(count)]}


def test_a_set_gives_what_it_has_and_says_what_it_has_not() -> None:
    make = drawn("tiny", lambda: made(4), as_it_is)
    assert sorted(example.id for example in make("test", 9, 0, None)) == ["0", "1", "2", "3"]
    assert make("test", 1, 0, None)[0].facts == {"family": "tiny"}
    with pytest.raises(ValueError, match="The set tiny has no items of the part train; it has test"):
        make("train", 1, 0, None)
    with pytest.raises(ValueError, match="as hard as it is published"):
        make("test", 1, 0, 0.5)
    with pytest.raises(ValueError, match="0 items of tiny are none"):
        make("test", 0, 0, None)


def test_a_tenth_of_the_prompts_validates() -> None:
    parts = carved(made(50)["test"])
    assert [len(parts[part]) for part in ("train", "validation")] == [45, 5]
    assert parts == carved(made(50)["test"])
