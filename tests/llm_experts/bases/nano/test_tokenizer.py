"""The tokenizer of nano: lossless, frugal with rows, one token per answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_experts.bases.nano.corpus import lessons
from llm_experts.bases.nano.pretrain import text_of
from llm_experts.bases.nano.schema import bank
from llm_experts.bases.nano.tokenizer import numbers_of, train_tokenizer
from tasks.templates import TEMPLATES, format_of
from tests.llm_experts.bases.nano.nano_fixtures import SUBJECTS


@pytest.fixture(scope="module")
def tokenizer():
    texts = [text_of(lesson) for lesson in lessons(SUBJECTS, bank(), 40, 0, "test")]
    return train_tokenizer(texts, SUBJECTS, 700)


TEXTS = st.text() | st.text(alphabet=" \n.;=-0123456789aeThisknowunes'", max_size=60)


@given(text=TEXTS)
def test_every_text_comes_back(tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer(text).input_ids) == text


@pytest.mark.parametrize("word", [" yes", " no"])
def test_an_answer_is_one_token_alone_and_behind_a_prompt(tokenizer, word: str) -> None:
    (token,) = tokenizer(word).input_ids
    prompt = "The applicant's age is 23 years. Question: Is it? Options: yes or no. Answer:"
    assert tokenizer(prompt + word).input_ids[-1] == token
    assert tokenizer(prompt + word).input_ids[:-1] == tokenizer(prompt).input_ids


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_statement_of_a_category_is_one_token(tokenizer, template: str) -> None:
    style = format_of(template)
    before, behind = style.around("the applicant", "savings")
    for value in ("below 100 marks", "unknown"):
        assert len(tokenizer(f"{style.between}{before}{value}{behind}").input_ids) == 1


def test_a_number_costs_its_column_its_pairs_of_digits_and_its_unit(tokenizer) -> None:
    def pieces(text: str) -> list[str]:
        return [tokenizer.decode([token]) for token in tokenizer(text).input_ids]

    assert pieces(" The applicant's age is 23 years.") == [" The applicant's age is", " 23", " years."]
    assert pieces("; loan duration = 116 months") == ["; loan duration =", " 1", "16", " months"]
    assert pieces(" 13456") == [" 1", "34", "56"]


def test_pairs_of_digits_are_known_as_numbers(tokenizer) -> None:
    numbers = numbers_of(tokenizer)
    assert numbers[tokenizer(" 42").input_ids[0]] == 42
    assert numbers[tokenizer("1205").input_ids[-1]] == 5
    assert sorted(set(numbers.values())) == list(range(100))


def test_a_question_of_a_card_and_the_options_are_short(tokenizer) -> None:
    asked = " Question: Is the applicant a good credit risk? Options: yes or no. Answer:"
    assert len(tokenizer(asked).input_ids) == 3


def test_names_that_no_card_has_are_spelt(tokenizer) -> None:
    text = "The wombat's burrow depth is 3 metres. The wombat's mood is splendid."
    ids = tokenizer(text).input_ids
    assert len(ids) > 12
    assert tokenizer.decode(ids) == text


def test_answers_that_are_not_one_token_are_refused() -> None:
    with pytest.raises(ValueError, match="is not one token"):
        train_tokenizer(["nothing to see"], (), 300)
