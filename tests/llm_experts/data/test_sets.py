"""Packing, splitting, overlap and hashes of sets."""

import random

import pytest

from llm_experts.data.encoding import Encoded
from llm_experts.data.error import DataError
from llm_experts.data.example import Example, Message
from llm_experts.data.fingerprint import hash_examples
from llm_experts.data.overlap import Learnt, overlap, repeated
from llm_experts.data.packing import pack
from llm_experts.data.splitting import split


def item(size: int, first: int = 0) -> Encoded:
    return Encoded(tuple(range(first, first + size)), (False, *(True,) * (size - 1)))


def test_items_fill_sequences_by_first_fit_decreasing() -> None:
    packed = pack([item(4), item(7), item(3), item(5), item(1)], 10)
    assert [one.members for one in packed] == [(1, 2), (3, 0, 4)]
    assert packed[1].ids == (0, 1, 2, 3, 4, 0, 1, 2, 3, 0)
    assert packed[1].learnt == (False, True, True, True, True, False, True, True, True, False)
    assert packed[1].positions == (0, 1, 2, 3, 4, 0, 1, 2, 3, 0)
    assert packed[1].segments == (0, 0, 0, 0, 0, 1, 1, 1, 1, 2)


@pytest.mark.parametrize("seed", range(5))
def test_packing_is_first_fit_decreasing_done_slowly(seed: int) -> None:
    sizes = random.Random(seed).choices(range(1, 21), k=60)
    bins: list[list[int]] = []
    for index in sorted(range(60), key=lambda i: -sizes[i]):
        fits = [own for own in bins if sum(sizes[i] for i in own) + sizes[index] <= 20]
        if fits:
            fits[0].append(index)
        else:
            bins.append([index])
    packed = pack([item(size, 100 * index) for index, size in enumerate(sizes)], 20)
    assert [list(one.members) for one in packed] == bins
    assert sorted(i for one in packed for i in one.ids) == sorted(
        100 * i + k for i, s in enumerate(sizes) for k in range(s)
    )


def test_what_cannot_be_packed_is_refused() -> None:
    assert pack([], 10) == []
    with pytest.raises(DataError, match="Item 1 has 11 tokens, and a sequence holds 1 to 10"):
        pack([item(3), item(11)], 10)
    with pytest.raises(DataError, match="The first token of item 0 is learnt"):
        pack([Encoded((1, 2), (True, True))], 10)


def examples(count: int) -> list[Example]:
    return [Example(str(i), f"Prompt {i // 2}", str(i)) for i in range(count)]


def test_parts_share_no_prompt_and_keep_all() -> None:
    given = examples(200)
    parts = split(given, validation=0.1, test=0.2, seed=3)
    prompts = [{example.prompt for example in part} for part in (parts.train, parts.validation, parts.test)]
    assert [len(own) for own in prompts] == [70, 10, 20]
    assert not prompts[0] & prompts[1] and not prompts[0] & prompts[2] and not prompts[1] & prompts[2]
    assert sorted(e.id for part in (parts.train, parts.validation, parts.test) for e in part) == sorted(
        e.id for e in given
    )


def test_parts_depend_on_seed_and_prompts_not_on_order_or_case() -> None:
    given = examples(100)
    one, other = split(given, validation=0.2, seed=0), split(given, validation=0.2, seed=1)
    assert one != other
    again = split(
        [Example(e.id, f" {str(e.prompt).upper()}", e.completion) for e in given[::-1]], validation=0.2, seed=0
    )
    assert {e.id for e in again.validation} == {e.id for e in one.validation}
    assert one.test == ()


def test_too_few_prompts_or_wrong_shares_are_refused() -> None:
    with pytest.raises(DataError, match="2 different prompts are too few"):
        split(examples(4), validation=0.1, test=0.1, seed=0)
    for shares in ((1.0, 0.0), (0.5, 0.5), (-0.1, 0.0), (float("nan"), 0.0)):
        with pytest.raises(DataError, match="leave nothing to train on"):
            split(examples(9), validation=shares[0], test=shares[1], seed=0)


def test_overlap_by_hand() -> None:
    learnt = [Example("l", "one two three four five", "six"), Example("m", "Say  HELLO", "hi")]
    asked = [
        Example("same", "say hello", "ho"),
        Example("half", "one two three four", "nine"),  # 1-2-3, 2-3-4, 3-4-9: two of three
        Example("new", "ten eleven twelve", "one"),
        Example("chat", (Message("user", "two three four five"),), "six"),
        Example("none", "!?", ""),
    ]
    found = overlap(learnt, asked, n=3, threshold=0.6)
    assert found.shares == (0.0, 2 / 3, 0.0, 1.0, 0.0)
    assert found.same_prompts == ("same",)
    assert found.flagged == ("half", "chat")
    assert not found.clean
    assert found.described() == (
        "1 of 5 prompts were learnt as they stand; 2 items share at least 60% of their 3-grams with what was learnt"
    )
    assert overlap(learnt, asked[2:3], n=3).clean


def test_repeated_items() -> None:
    given = [Example("a", "P q", "x"), Example("b", "p  Q", "x"), Example("c", "p q", "y"), Example("a", "z", "x")]
    assert repeated(given) == [("a", "b")]


def test_a_hash_tells_sets_apart_and_ignores_the_order_of_keys() -> None:
    one = [Example("a", "p", "c", facts={"x": 1, "y": 2})]
    assert hash_examples(one) == hash_examples([Example("a", "p", "c", facts={"y": 2, "x": 1})])
    others = [
        [Example("b", "p", "c")],
        [Example("a", "p", "d")],
        [Example("a", "p", "c", "r")],
        [Example("a", (Message("user", "p"),), "c")],
        one + one,
    ]
    assert len({hash_examples(given) for given in [one, *others]}) == 6


def test_a_learnt_set_is_asked_again_and_again() -> None:
    words = " ".join(f"w{number}" for number in range(20))
    known = Learnt([Example("a", words, "b")], n=13)
    assert known.has_prompt(Example("c", words.upper())) and not known.has_prompt(Example("c", words + " more"))
    # 22 words with "more" and the answer: 10 13-grams, of which the 8 within the first 20 words are known
    assert known.share(Example("c", words + " more", "c")) == pytest.approx(8 / 10)
    assert known.share(Example("c", "!")) == 0
