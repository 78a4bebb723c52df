"""Pieces are tokenised once, behind a word, and joined by their numbers."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from llm_experts.prompts.pieces import Pieces, PromptError
from tests.llm_experts.conftest import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
TEXTS = [" The savings are unknown.", "; sex = female", " yes", "\n- age: 23 years", " naïve 東京"]


def plain(text: str) -> list[int]:
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]


def test_the_same_piece_has_the_same_number() -> None:
    pieces = Pieces(TOKENIZER)
    first = pieces.number([*TEXTS, TEXTS[1]])
    assert first.tolist() == [0, 1, 2, 3, 4, 1]
    again = pieces.number([TEXTS[2], " new", TEXTS[0]])
    assert again.tolist() == [2, 5, 0]
    assert pieces.number(["The", " The"], first=True).tolist() == [6, 7], "pieces that begin a text are others"
    assert pieces.number([]).tolist() == []


def test_tokens_are_those_of_the_text() -> None:
    pieces = Pieces(TOKENIZER)
    numbers = pieces.number(TEXTS)
    for text, number, size in zip(TEXTS, numbers.tolist(), pieces.sizes(numbers).tolist(), strict=True):
        assert pieces.tokens(number).tolist() == plain(text) and size == len(plain(text))


def test_joined_rows_say_which_column_a_token_belongs_to() -> None:
    pieces = Pieces(TOKENIZER)
    record, lines = pieces.number(["; sex = female", "; x"], between=2), pieces.number(["\n- age: 23 years"], between=1)
    rows = np.array([[record[0], lines[0]], [record[1], record[0]]])
    ids, columns = pieces.joined(rows)
    texts = ["; sex = female", "\n- age: 23 years", "; x", "; sex = female"]
    assert ids.tolist() == [token for text in texts for token in plain(text)]
    owners = [
        (token, column) for text, column in zip(texts, [0, 1, 0, 1], strict=True) for token in [text] * len(plain(text))
    ]
    assert len(columns) == len(owners) and columns.dtype == np.int16
    for token, found, (text, column) in zip(ids.tolist(), columns.tolist(), owners, strict=True):
        between = TOKENIZER.decode([token]) in (";", "\n") or (text == "; x" and TOKENIZER.decode([token]) == " ")
        assert found == (-1 if between else column), (text, TOKENIZER.decode([token]))


def test_a_token_across_the_seam_is_refused() -> None:
    whole = Tokenizer(models.BPE(vocab={"a": 0, " ": 1, "a ": 2, "<unk>": 3}, merges=[("a", " ")], unk_token="<unk>"))
    with pytest.raises(PromptError, match="joins ' yes' with the word before"):
        Pieces(PreTrainedTokenizerFast(tokenizer_object=whole)).number([" yes"])
