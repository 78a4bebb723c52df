"""Text as it grows: pieces together are the text, characters are whole, and nothing of a stop string gets out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_experts.runtime.batch.stopping import StopMatcher, TextStream
from tests.llm_experts.conftest import tiny_tokenizer

TOKENIZER: Any = tiny_tokenizer()


def decode(tokens: Any) -> str:
    return str(TOKENIZER.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def pieces_of(tokens: list[int]) -> list[str]:
    stream = TextStream(decode)
    return [*(stream.push(token) for token in tokens), stream.flush()]


@given(st.text(max_size=30))
def test_pieces_of_a_text_make_the_text_and_hold_no_broken_character(text: str) -> None:
    tokens = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    pieces = pieces_of(tokens)
    assert "".join(pieces) == text
    if "�" not in text:
        assert all("�" not in piece for piece in pieces)


@given(st.lists(st.integers(0, len(TOKENIZER) - 1), max_size=40))
def test_pieces_of_any_tokens_make_what_the_tokenizer_makes_of_them(tokens: list[int]) -> None:
    assert "".join(pieces_of(tokens)) == decode(tokens)


def test_a_character_of_four_bytes_comes_with_its_last_token() -> None:
    tokens = TOKENIZER("🦊", add_special_tokens=False)["input_ids"]
    assert len(tokens) == 4
    assert pieces_of(tokens) == ["", "", "", "🦊", ""]


def test_broken_bytes_do_not_hold_the_text_back_for_ever() -> None:
    start = TOKENIZER("é", add_special_tokens=False)["input_ids"][0]
    assert len("".join(pieces_of([start] * 20)[:-1])) >= 17


@pytest.mark.parametrize(
    ("pieces", "given_out", "found"),
    [
        (["abc", "STO", "P", "def"], "abc", True),
        (["abcST", "x", "OP"], "abcSTxOP", False),
        (["S", "S", "T", "O", "P"], "S", True),
        (["a\n", "\n", "b"], "a", True),
        (["a\nb"], "a\nb", False),
    ],
)
def test_stop_strings_across_pieces(pieces: list[str], given_out: str, found: bool) -> None:
    matcher, text, stopped = StopMatcher(["STOP", "\n\n"]), "", False
    for piece in pieces:
        safe, stopped = matcher.push(piece)
        text += safe
        if stopped:
            break
    assert (text + matcher.flush(), stopped) == (given_out, found)


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3), st.data())
def test_however_a_text_is_cut_it_ends_ahead_of_a_stop_string_and_never_gives_one_out(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    matcher, out, place, stopped = StopMatcher(stops), "", 0, False
    while place < len(text) and not stopped:
        size = data.draw(st.integers(1, 5))
        safe, stopped = matcher.push(text[place : place + size])
        out, place = out + safe, place + size
    out += matcher.flush()
    assert text.startswith(out)
    assert not any(stop in out for stop in stops)
    assert stopped == any(stop in text[:place] for stop in stops)
    if not stopped:
        assert out == text


def test_text_is_held_only_while_it_may_be_part_of_a_stop_string() -> None:
    matcher = StopMatcher(["User:"])
    assert [matcher.push(piece)[0] for piece in ["Hi ", "U", "s", "ing"]] == ["Hi ", "", "", "Using"]
